#include "core/plan/estimate.h"

#include <algorithm>

#include "core/plan/cards.h"
#include "core/plan/device_memory.h"
#include "core/plan/model_parts.h"
#include "core/recipe/sharding.h"

namespace ft::plan {
namespace {

// Embedding and head that are trained whole, by the names that most models give them.
int64_t SavedParameters(const ModelShape& shape, const recipe::MethodSpec& method) {
  int64_t tables = 0;
  for (const std::string& name : method.modules_to_save) {
    tables += name.ends_with("embed_tokens") || name.ends_with("lm_head") ? 1 : 0;
  }
  return tables * shape.vocabulary * shape.hidden;
}

constexpr int64_t kSegmentBytes = int64_t{4} << 20;    // What a rank shows the others of its host.
constexpr double kChunkElements = 1 << 24;             // Logits computed at a time: ops/loss_head.cc.
constexpr int64_t kProgramBytes = int64_t{256} << 20;  // LibTorch's CPU libraries and small buffers.

}  // namespace

int64_t LinearParameters(const ModelShape& shape) {
  int64_t count = 0;
  for (const Projection& p : Projections(shape)) count += p.inputs * p.outputs * Count(shape, p);
  return count;
}

int64_t ParameterCount(const ModelShape& shape) {
  const int64_t embedding = shape.vocabulary * shape.hidden;
  const int64_t norms = (2 * shape.layers + 1) * shape.hidden;
  return LinearParameters(shape) + embedding * (shape.tied_head ? 1 : 2) + norms + shape.other_parameters;
}

int64_t TrainableParameters(const ModelShape& shape, const recipe::MethodSpec& method) {
  if (method.kind == "full") return ParameterCount(shape);
  int64_t count = 0;
  for (const Projection& p : Projections(shape)) {
    const int64_t rank = AdapterRank(method, p.name);
    if (rank == 0) continue;
    const int64_t pair = rank * (p.inputs + p.outputs) + (method.use_dora ? p.outputs : 0);
    count += pair * Count(shape, p);
  }
  return count + SavedParameters(shape, method);
}

std::vector<MemoryPart> EstimateMemory(const ModelShape& shape, const recipe::JobSpec& spec, bool bf16,
                                       DataSize data) {
  if (spec.resources.device == "gpu") return EstimateDeviceMemory(shape, spec, bf16, data, UnknownCard());
  const double compute_bytes = bf16 ? 2 : 4;
  const auto trainable = static_cast<double>(TrainableParameters(shape, spec.method));
  const bool full = spec.method.kind == "full";
  double base = FrozenBytes(shape, spec.method, compute_bytes);
  // fp32 value, gradient and what the optimizer keeps; a full fine-tuning also multiplies in the compute type.
  const TrainedBytes trained = TrainedBytesOf(shape, spec, compute_bytes);
  const double copies_of_trained =
      trained.divides_units || trained.divides_values || (full && bf16) ? trainable * compute_bytes : 0;
  // Of units that are whole while they are used there are two, and a rank keeps its part of what is frozen.
  const double units = trained.divides_units ? TwoUnits(shape, base, copies_of_trained, compute_bytes) : 0;
  base = FrozenInPlace(shape, spec, base, compute_bytes);
  const double training = trained.state + (trained.divides_units ? 0 : copies_of_trained);
  const auto rows = static_cast<double>(BatchOf(spec, data).rows);
  const auto layers = static_cast<double>(shape.layers), hidden = static_cast<double>(shape.hidden);
  const auto inner = static_cast<double>(shape.intermediate);
  // Each block keeps the float32 inputs of its two sub-layers and the result of attention; one that is not computed again also
  // the normed inputs, queries, keys, values and result of attention (in float32 on CPUs without bf16 products), gate, up
  // and their product.
  const double inputs = rows * hidden * (2 * 4 + compute_bytes);
  // A row's experts read a copy of it each, and what they make of it is kept beside.
  const double copies = static_cast<double>(shape.chosen_experts) * hidden;
  const double kept =
      rows * (hidden * (2 * 4 + 4 * 4 + 2 * compute_bytes) + (inner * 3 + copies * 2) * compute_bytes);
  const double block = rows * (hidden * 34 + inner * 8 + copies * 4) * compute_bytes;
  const double recomputed = static_cast<double>(CheckpointedBlocks(shape, spec.train));
  const double activations = inputs * recomputed + kept * (layers - recomputed) + block;
  const double logits =
      std::min(rows * static_cast<double>(shape.vocabulary), kChunkElements) * compute_bytes;
  const int leaves = recipe::MaxRanks(spec.parallel);
  const double shared = leaves > 1 ? static_cast<double>(kSegmentBytes) * leaves : 0;
  const auto bytes = [](double value) { return static_cast<int64_t>(value); };
  return {{"base weights", bytes(base)},
          {"trained weights, gradients, optimizer", bytes(training)},
          {"partial sums and exchange of ranks", bytes(trained.partial + shared + units)},
          {"activations", bytes(activations)},
          {"logits and their gradient", bytes(logits)},
          {"weights of one product", 0},  // Panels of it, which the program's own part holds.
          {"program", kProgramBytes, /*fixed=*/true}};
}

int64_t TotalBytes(const std::vector<MemoryPart>& parts) {
  int64_t total = 0;
  for (const MemoryPart& part : parts) total += part.bytes;
  return total;
}

double FlopsPerToken(const ModelShape& shape, const recipe::JobSpec& spec) {
  double n = static_cast<double>(ParameterCount(shape)) -
             (shape.tied_head ? 0.0 : static_cast<double>(shape.vocabulary * shape.hidden));
  for (const Projection& p : shape.projections) {
    if (p.used > 0) n -= static_cast<double>((Count(shape, p) - p.used) * p.inputs * p.outputs);
  }
  const double adapters =
      spec.method.kind == "full" ? 0 : 6.0 * static_cast<double>(TrainableParameters(shape, spec.method));
  // Recomputation leaves out the last product of each sub-layer, about a third.
  const double recomputed = static_cast<double>(CheckpointedBlocks(shape, spec.train)) /
                            static_cast<double>(std::max<int64_t>(shape.layers, 1));
  const double passes = (spec.method.kind == "full" ? 6 : 4) + 1.3 * recomputed;
  return passes * n + adapters;
}

}  // namespace ft::plan
