// What a job will need, from sizes alone: no tensor, no file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/recipe/job_spec.h"

namespace ft::plan {

// Linear layers of one name and size.
struct Projection {
  std::string name;  // As method.targets names it: the last part of its module's name.
  int64_t inputs = 0, outputs = 0;
  int64_t count = 0;  // How many there are in the model; 0 = one a block.
  int64_t used = 0;   // How many of them a token passes, where there are experts; 0 = all.
};

// The sizes of a decoder with gated MLP.
struct ModelShape {
  int64_t vocabulary = 0;
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t key_heads = 0;
  int64_t head_size = 0;
  int64_t intermediate = 0;
  bool tied_head = false;
  std::vector<Projection> projections;  // Empty = the seven of Llama.
  int64_t chosen_experts = 0;           // Of a token; then `intermediate` is the width of all that it passes.
  int64_t other_parameters = 0;         // Biases of projections and norms, learned positions.
};

// All weights.
int64_t ParameterCount(const ModelShape& shape);

// Weights of the blocks' projections: what quantisation and all-linear adapters apply to.
int64_t LinearParameters(const ModelShape& shape);

// Adapter weights: sum over targeted projections of rank (in + out), with DoRA the magnitudes, and what is trained whole beside.
// Everything for method full.
int64_t TrainableParameters(const ModelShape& shape, const recipe::MethodSpec& method);

struct MemoryPart {
  std::string name;
  int64_t bytes = 0;
  bool fixed = false;  // No setting changes it.
};

// Tokens of the data, as far as known: 0 = max_length and more.
struct DataSize {
  int64_t longest_sample = 0;
  int64_t total = 0;
  int64_t samples = 0;  // 0 = unknown: a packed row holds one.
};

// Memory of one rank by part: base weights, trainable weights with gradients and the optimizer's state, activations of
// micro_batch x max_length tokens (kept inputs of sub-layers, results of attention and one block's work with checkpointing), logits of the supervised
// share, the partial sums of a rank that holds several leaves of a step's sum, the segment it shares with the others, the
// program itself. With resources.device: gpu what it takes of a GPU (device_memory.h). Formulas: docs/memory.md.
std::vector<MemoryPart> EstimateMemory(const ModelShape& shape, const recipe::JobSpec& spec, bool bf16,
                                       DataSize data);

int64_t TotalBytes(const std::vector<MemoryPart>& parts);

// Floating-point operations of one token's training step: 2N forward and 2N (adapters) or 4N (full) backward, 2N more
// when activations are computed again (trainer literature's 6N and 8N counts; attention scores left out).
double FlopsPerToken(const ModelShape& shape, const recipe::JobSpec& spec);

}  // namespace ft::plan
