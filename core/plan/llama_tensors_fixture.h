// The tensors of Llama models, for tests.
#pragma once

#include <vector>

#include "core/base/str_cat.h"
#include "core/plan/estimate.h"
#include "core/plan/slice_table.h"

namespace ft::plan {

inline const ModelShape kLlama70B{.vocabulary = 32000,
                                  .hidden = 8192,
                                  .layers = 80,
                                  .heads = 64,
                                  .key_heads = 8,
                                  .head_size = 128,
                                  .intermediate = 28672};

// All that a full fine-tuning trains. A tied head is the embedding's.
inline std::vector<TrainedTensor> FullTensors(const ModelShape& s) {
  const int64_t q = s.heads * s.head_size, kv = s.key_heads * s.head_size;
  std::vector<TrainedTensor> tensors = {{"model.embed_tokens.weight", {s.vocabulary, s.hidden}, 0}};
  for (int64_t layer = 0; layer < s.layers; ++layer) {
    const auto add = [&](std::string_view name, std::vector<int64_t> shape) {
      tensors.push_back(
          {StrCat("model.layers.", layer, ".", name), std::move(shape), static_cast<int>(layer) + 1});
    };
    add("self_attn.q_proj.weight", {q, s.hidden});
    add("self_attn.k_proj.weight", {kv, s.hidden});
    add("self_attn.v_proj.weight", {kv, s.hidden});
    add("self_attn.o_proj.weight", {s.hidden, q});
    add("mlp.gate_proj.weight", {s.intermediate, s.hidden});
    add("mlp.up_proj.weight", {s.intermediate, s.hidden});
    add("mlp.down_proj.weight", {s.hidden, s.intermediate});
    add("input_layernorm.weight", {s.hidden});
    add("post_attention_layernorm.weight", {s.hidden});
  }
  const int head = s.tied_head ? 0 : static_cast<int>(s.layers) + 1;
  tensors.push_back({"model.norm.weight", {s.hidden}, head});
  if (!s.tied_head) tensors.push_back({"lm_head.weight", {s.vocabulary, s.hidden}, head});
  return tensors;
}

}  // namespace ft::plan
