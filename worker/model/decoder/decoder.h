// A decoder's weights by place, and the mathematics of one sub-layer over them. Pure functions of slots and rows:
// nothing here knows ranks, sharding, quantisation or checkpointing. Legend: N rows (tokens of all samples
// end to end), C hidden.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker/model/decoder/config.h"
#include "worker/model/decoder/layout.h"
#include "worker/model/decoder/router_balance.h"
#include "worker/model/ops/attention.h"
#include "worker/model/ops/epilogue.h"
#include "worker/model/ops/linear.h"
#include "worker/model/ops/weight_slot.h"

namespace ft::model {

// A linear layer: its weight, bias where the family has one, adapter where one is attached.
struct Projection {
  std::string module;  // The weight's name without ".weight": model.layers.0.self_attn.q_proj.
  int64_t inputs = 0, outputs = 0;
  int64_t site = 0;           // Role::site.
  std::vector<Piece> pieces;  // Of its outputs.
  bool adapted = true;        // Whether it takes an adapter.
  ops::SlotPtr weight;
  ops::SlotPtr bias;
  std::optional<ops::LoraSlots> adapter;
};

struct NormWeights {
  ops::SlotPtr weight, bias;  // No bias in an RMS norm.
};

struct ExpertWeights {
  std::vector<Projection> inputs;
  Projection output;
};

// Attention or MLP: what reads the normed rows, and what writes to the residual stream.
struct SubLayerWeights {
  NormWeights norm, behind;             // `behind` is empty where the decoder has none.
  NormWeights query_norm, key_norm;     // Of attention, with head norms.
  ops::SlotPtr sinks_H;                 // Of attention; null without.
  NormWeights latent_norm;              // Of attention with a latent,
  std::vector<Projection> from_latent;  // and what makes keys and values of it.
  std::vector<Projection> inputs;       // With experts those of the shared MLP, which may be none.
  Projection output;
  // Of an MLP with experts.
  Projection router;
  std::vector<ExpertWeights> experts;

  bool shared() const { return !inputs.empty(); }
};

struct BlockWeights {
  SubLayerWeights attention, mlp;
  ops::SlotPtr scalar;  // Null without layer scalars.
};

struct DecoderWeights {
  ops::SlotPtr embedding_VC;
  ops::SlotPtr positions_PC;  // Null without learned positions.
  std::vector<BlockWeights> blocks;
  NormWeights final_norm;
  ops::SlotPtr head_VC;  // The embedding's slot when the head is tied.
};

// Calls visit(projection) for every projection of a block, in the order of their sites.
template <typename Block, typename Visit>
void VisitProjections(Block& block, const Visit& visit) {
  for (auto* sub_layer : {&block.attention, &block.mlp}) {
    if (sub_layer->shared()) {
      for (auto& projection : sub_layer->inputs) visit(projection);
      for (auto& projection : sub_layer->from_latent) visit(projection);
      visit(sub_layer->output);
    }
    if (sub_layer->experts.empty()) continue;
    visit(sub_layer->router);
    for (auto& expert : sub_layer->experts) {
      for (auto& projection : expert.inputs) visit(projection);
      visit(expert.output);
    }
  }
}

// The structure of a layout: modules and sizes, and no slots yet.
DecoderWeights MakeStructure(const DecoderConfig& config, const Layout& layout);

// Gives the slot its role. A tied head is the embedding.
void AssignWeight(const DecoderConfig& config, const Role& role, ops::SlotPtr slot, DecoderWeights& weights);

// Keys and values of earlier tokens of one sequence, for generation. Rows are appended by the forward
// pass that computes them.
class LayerCache {
 public:
  // Those of all tokens so far, these included: views of the first rows of what is kept.
  std::pair<torch::Tensor, torch::Tensor> Append(const torch::Tensor& k_NKD, const torch::Tensor& v_NKD);

 private:
  int64_t tokens_ = 0;
  torch::Tensor keys_, values_;  // With room behind them, a quarter of what they hold; undefined while empty.
};

// What all blocks of one forward pass share.
struct ForwardContext {
  at::ScalarType compute = at::kFloat;  // Dtype of products in linear layers and attention.
  at::ScalarType saved_dtype =
      at::kFloat;  // What backward reads of linear layers and gate, where narrower than that.
  std::vector<ops::RopeTable> ropes;  // One a DecoderConfig::rotaries.
  ops::AttentionShape attention;      // Its window is each layer's own.
  torch::Tensor query_scale_N;        // What queries are multiplied by, one a row, float32; undefined = 1.
  std::shared_ptr<const ops::DropoutRows> dropout;  // Null outside training.
  std::vector<LayerCache>* cache = nullptr;         // Null without generation; one a layer.
  // Null unless sub-layers are computed a second time for their gradients; one a layer.
  std::vector<ops::SavedAttention>* saved_attention = nullptr;
  std::shared_ptr<RouterBalance> balance;  // Null where routers have no loss of their own.
};

// A norm of float32 rows, as the configuration has them, with so much room behind each row of the result (ops/joined_rows.h).
torch::Tensor ApplyNorm(const DecoderConfig& config, const NormWeights& weights, const torch::Tensor& x_NC,
                        at::ScalarType output, int64_t room = 0);

// The two sub-layers of a block, in their order: x + Attention(Norm(x)) and x + Mlp(Norm(x)), or with a norm of what is added, or
// with experts in the place of the MLP. The residual stream x is float32
// whatever the compute type, so that only products round. With ForwardOutput::kSkipped the result has its graph, which is all that
// gradients need, but the last product is left out and the values mean nothing.
torch::Tensor AttentionForward(const DecoderConfig& config, const BlockWeights& weights,
                               const torch::Tensor& x_NC, const ForwardContext& context, int64_t layer,
                               ops::ForwardOutput output = ops::ForwardOutput::kComputed);
torch::Tensor MlpForward(const DecoderConfig& config, const BlockWeights& weights, const torch::Tensor& x_NC,
                         const ForwardContext& context, int64_t layer,
                         ops::ForwardOutput output = ops::ForwardOutput::kComputed);

}  // namespace ft::model
