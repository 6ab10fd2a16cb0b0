// A training pass over one micro-batch on a GPU, with sizes in the place of tensors.
#pragma once

#include <vector>

#include "core/plan/cards.h"
#include "core/plan/memory_meter.h"
#include "core/plan/model_parts.h"

namespace ft::plan {

// A linear layer: O x I, with an adapter of the rank R, or none.
struct LayerSizes {
  double inputs = 0, outputs = 0, rank = 0;
};
// Layers that read the same rows.
using LayerGroup = std::vector<LayerSizes>;

struct PassSizes {
  LayerGroup attention_in, attention_out, mlp_in, mlp_out;
  double rows = 0, hidden = 0, layers = 0, vocabulary = 0;
  double heads = 0, key_heads = 0, head_size = 0;
  double segments = 1, longest = 0;  // Of attention.
  double copies = 0;                 // Of a row that experts read.
  double multiprocessors = 0;
  double compute = 2;    // Bytes of weights and activations.
  double adapter = 2;    // Bytes of what an adapter multiplies.
  double quantised = 0;  // Bits of frozen weights that are dequantised for their products; 0 = none are.
  bool full = false;
  bool dropout = false;
  int64_t recomputed = 0;  // The first so many blocks.
};

PassSizes PassSizesOf(const ModelShape& shape, const recipe::JobSpec& spec, bool bf16, const Batch& batch,
                      const Card& card);

// Forward and backward of all blocks and the head.
void GoThroughPass(MemoryMeter& meter, const PassSizes& sizes);

}  // namespace ft::plan
