// The two ends of a decoder: token embedding, and the head with its cross entropy. Both are blocks that the
// runner calls directly, so their gradients are returned rather than left to autograd. Legend: N rows, S
// supervised rows, C channels, V vocabulary.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "worker/model/ops/weight_slot.h"

namespace ft::ops {

// Rows of the embedding, rounded to `type`, as the float32 residual stream. Makes no graph.
torch::Tensor Embed(const WeightSlot& embedding_VC, const torch::Tensor& ids_N, at::ScalarType type);

// gradient_VC[id of row n] += dx[n], rows in order: the same bits for any number of threads.
void AddEmbeddingGradient(const torch::Tensor& ids_N, const torch::Tensor& dx_NC, torch::Tensor& gradient_VC);

// The head: its weight, and what else makes logits of it.
struct Head {
  // NOLINTNEXTLINE(google-explicit-constructor): most heads are nothing but their weight.
  Head(const WeightSlot& weight, bool normalised = false, double cap = 0)
      : weight_VC(weight), normalised(normalised), cap(cap) {}
  const WeightSlot& weight_VC;
  bool normalised;  // Each row is divided by its length (at least 1e-12).
  double cap;       // Logits become cap * tanh(logit / cap); 0 = they stay.
};

// Logits in float32, [rows, V].
torch::Tensor Logits(const torch::Tensor& hidden_SC, const Head& head);

struct LossRequest {
  // Whether to compute the gradients of the hidden rows, and of the head where it is trainable.
  bool gradient = false;
  double gradient_scale = 1;  // Factor of all gradients.
  torch::Tensor
      head_room_VC;  // Zeros in which the head's gradient is computed; undefined = in memory of its own.
};

// The losses of supervised rows, where the rows lie: nobody waits for a device before the sum is wanted.
struct TokenLosses {
  torch::Tensor losses_S;  // float64; undefined = none.
  int64_t chunk_rows = 1;  // Rows whose losses are added before they are added to the rest.

  // Added in row order in float64.
  double Sum() const;
};

struct LossResult {
  TokenLosses losses;
  torch::Tensor dhidden_SC;  // In hidden's type; undefined without LossRequest::gradient.
  torch::Tensor dhead_VC;    // float32; undefined where the head is frozen.
};

// Cross entropy of softmax(logits) against `targets`, chunk by chunk of rows, so that only one chunk of
// logits exists at a time.
LossResult CrossEntropy(const torch::Tensor& hidden_SC, const Head& head, const std::vector<int64_t>& targets,
                        const LossRequest& request);

}  // namespace ft::ops
