// A weight with its adapter folded in.
#pragma once

#include <torch/torch.h>

#include <string>

#include "core/base/status.h"
#include "worker/model/decoder.h"

namespace ft::adapt {

// The weight of a canonical name as one tensor of `type`: W for weights without an adapter, else W + scale *
// B A, computed in float32 from what W stands for (dequantised where the base is quantised) and rounded once.
// NOT_FOUND for a name that the model does not have; lm_head.weight of a tied head is the embedding.
StatusOr<torch::Tensor> MergedWeight(const model::DecoderWeights& weights, const std::string& name,
                                     at::ScalarType type);

}  // namespace ft::adapt
