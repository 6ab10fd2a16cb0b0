// A decoder's weights by place, and the mathematics of one sub-layer over them. Pure functions of slots and rows:
// nothing here knows ranks, sharding, quantisation or checkpointing. Legend: N rows (tokens of all samples
// end to end), C hidden.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/model/decoder/config.h"
#include "worker/model/decoder/layout.h"
#include "worker/model/ops/attention.h"
#include "worker/model/ops/epilogue.h"
#include "worker/model/ops/linear.h"
#include "worker/model/ops/weight_slot.h"

namespace ft::model {

// A linear layer: its weight, bias where the family has one, adapter where one is attached.
struct Projection {
  std::string module;  // The weight's name without ".weight": model.layers.0.self_attn.q_proj.
  int64_t inputs = 0, outputs = 0;
  ops::SlotPtr weight;
  ops::SlotPtr bias;
  std::optional<ops::LoraSlots> adapter;
};

struct BlockWeights {
  ops::SlotPtr attention_norm, mlp_norm;
  Projection projection[kSites];
};

struct DecoderWeights {
  ops::SlotPtr embedding_VC;
  std::vector<BlockWeights> blocks;
  ops::SlotPtr final_norm;
  ops::SlotPtr head_VC;  // The embedding's slot when the head is tied.
};

// The structure of a layout: modules and sizes, and no slots yet.
DecoderWeights MakeStructure(const DecoderConfig& config, const Layout& layout);

// Gives the slot its role. A tied head is the embedding.
void AssignWeight(const DecoderConfig& config, const Role& role, ops::SlotPtr slot, DecoderWeights& weights);

// Keys and values of earlier tokens of one sequence, for generation. Rows are appended by the forward
// pass that computes them.
struct LayerCache {
  torch::Tensor keys_MKD, values_MKD;  // Undefined while empty.
};

// What all blocks of one forward pass share.
struct ForwardContext {
  at::ScalarType compute = at::kFloat;  // Dtype of products in linear layers and attention.
  at::ScalarType saved_dtype =
      at::kFloat;  // What backward reads of linear layers and gate, where narrower than that.
  ops::RopeTable rope;
  ops::AttentionShape attention;
  std::shared_ptr<const ops::DropoutRows> dropout;  // Null outside training.
  std::vector<LayerCache>* cache = nullptr;         // Null without generation; one a layer.
  // Null unless sub-layers are computed a second time for their gradients; one a layer.
  std::vector<ops::SavedAttention>* saved_attention = nullptr;
};

// The two sub-layers of a block, in their order: x + Attention(Norm(x)) and x + Mlp(Norm(x)). The residual stream x is float32
// whatever the compute type, so that only products round. With ForwardOutput::kSkipped the result has its graph, which is all that
// gradients need, but the last product is left out and the values mean nothing.
torch::Tensor AttentionForward(const DecoderConfig& config, const BlockWeights& weights,
                               const torch::Tensor& x_NC, const ForwardContext& context, int64_t layer,
                               ops::ForwardOutput output = ops::ForwardOutput::kComputed);
torch::Tensor MlpForward(const DecoderConfig& config, const BlockWeights& weights, const torch::Tensor& x_NC,
                         const ForwardContext& context, int64_t layer,
                         ops::ForwardOutput output = ops::ForwardOutput::kComputed);

}  // namespace ft::model
