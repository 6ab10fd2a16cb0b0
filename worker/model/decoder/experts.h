// An MLP of experts: a router chooses a few for each row, and the row gets the weighted sum of what they make of it. Sorted and added in
// a fixed order: the same bits for any number of threads. Only one expert's weights are in use at a time. Legend: N rows, E experts, K
// chosen of each row, C channels.
#pragma once

#include <torch/types.h>

#include "worker/model/decoder/decoder.h"

namespace ft::model {

struct Routing {
  torch::Tensor expert_NK;  // int64, the best first; of equal ones the first.
  torch::Tensor weight_NK;  // float32, with its graph.
};

// What a router's output, float32, stands for.
Routing Route(const Experts& experts, const torch::Tensor& logits_NE);

// The sum that each row gets, float32, those of the shared MLP included. Records in context.balance what the router did.
torch::Tensor ExpertsForward(const DecoderConfig& config, const SubLayerWeights& weights,
                             const torch::Tensor& x_NC, const ForwardContext& context, int64_t layer);

}  // namespace ft::model
