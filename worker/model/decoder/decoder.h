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
#include "worker/model/ops/attention.h"
#include "worker/model/ops/epilogue.h"
#include "worker/model/ops/linear.h"
#include "worker/model/ops/weight_slot.h"

namespace ft::model {

using SlotPtr = std::shared_ptr<const ops::WeightSlot>;

// A linear layer: its weight, bias where the family has one, adapter where one is attached.
struct Projection {
  std::string module;  // Canonical name without ".weight": model.layers.0.self_attn.q_proj.
  int64_t inputs = 0, outputs = 0;
  bool has_bias = false;
  SlotPtr weight;
  SlotPtr bias;
  std::optional<ops::LoraSlots> adapter;
};

// The projections of a block by place; the number is also the site of its dropout. Do not renumber: dropout
// masks of resumed jobs depend on it.
enum Site { kQuery = 0, kKey = 1, kValue = 2, kOutput = 3, kGate = 4, kUp = 5, kDown = 6, kSites = 7 };

struct BlockWeights {
  SlotPtr attention_norm, mlp_norm;
  Projection projection[kSites];
};

struct DecoderWeights {
  SlotPtr embedding_VC;
  std::vector<BlockWeights> blocks;
  SlotPtr final_norm;
  SlotPtr head_VC;  // The embedding's slot when the head is tied.
};

// A weight that a configuration asks for.
struct ExpectedWeight {
  std::string name;  // Canonical.
  std::vector<int64_t> shape;
  bool linear = false;  // The weight of a block's projection: what quantisation and adapters apply to.
};

// All weights of a configuration, in the order embedding, blocks, final norm, head (absent when tied).
std::vector<ExpectedWeight> ExpectedWeights(const DecoderConfig& config);

// The structure with names and shapes filled in and no slots yet.
DecoderWeights MakeStructure(const DecoderConfig& config);

// Puts a slot where its canonical name says; false when the name has no place. A tied head follows the
// embedding.
bool Place(const DecoderConfig& config, SlotPtr slot, DecoderWeights& weights);

// Keys and values of earlier tokens of one sequence, for generation. Rows are appended by the pass that
// computes them.
struct LayerCache {
  torch::Tensor keys_MKD, values_MKD;  // Undefined while empty.
};

// What all blocks of one pass share.
struct Pass {
  at::ScalarType compute = at::kFloat;   // Of the linear layers and of attention.
  at::ScalarType saved_as = at::kFloat;  // What backward reads of linear layers and gate, where narrower than that.
  ops::RopeTable rope;
  ops::AttentionShape attention;
  std::shared_ptr<const ops::DropoutRows> dropout;  // Null outside training.
  std::vector<LayerCache>* cache = nullptr;         // Null without generation; one a layer.
  // Null unless sub-layers are computed a second time for their gradients; one a layer.
  std::vector<ops::AttentionKept>* kept = nullptr;
};

// The two halves of a block, in their order.
enum class SubLayer { kAttention, kMlp };

// x + f(norm(x)), f being the sub-layer's function. The residual stream x is float32 whatever the compute type,
// so that only products round. With ValuesAre::kUnused the result has its graph, which is all that gradients need,
// but f's last product is left out and the values mean nothing.
torch::Tensor SubLayerForward(const DecoderConfig& config, const BlockWeights& weights,
                              const torch::Tensor& x_NC, const Pass& pass, int64_t layer, SubLayer which,
                              ops::ValuesAre values = ops::ValuesAre::kUsed);

}  // namespace ft::model
