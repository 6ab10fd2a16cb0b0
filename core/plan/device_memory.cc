#include "core/plan/device_memory.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/plan/device_pass.h"
#include "core/plan/memory_meter.h"
#include "core/plan/model_parts.h"

namespace ft::plan {
namespace {

// Sources of both figures: docs/memory.md.
constexpr int64_t kContextBytes = 500'000'000;  // A process that has used LibTorch's kernels.
constexpr int64_t kNcclBytes = 500'000'000;
constexpr int64_t kWorkspaceBytes = int64_t{32} << 20;  // CUBLAS_WORKSPACE_CONFIG=:4096:8, one stream.

constexpr std::array<std::string_view, kHeldKinds> kNames = {
    "base weights",
    "trained weights, gradients, optimizer",
    "partial sums and exchange of ranks",
    "kept activations",
    "one block's work",
    "logits and their gradient",
    "weights of one product",
    "attention's buffers",
};

// Norms and biases, which are float32 whatever the type of products.
double VectorParameters(const ModelShape& shape) {
  const int64_t tables = shape.vocabulary * shape.hidden * (shape.tied_head ? 1 : 2);
  return static_cast<double>(ParameterCount(shape) - LinearParameters(shape) - tables);
}

double AllFrozen(const ModelShape& shape, const recipe::MethodSpec& method, double compute_bytes) {
  const double frozen = FrozenBytes(shape, method, compute_bytes);
  return method.kind == "full" ? frozen : frozen + VectorParameters(shape) * (4 - compute_bytes);
}

// What lies on the device from the first step on.
struct Standing {
  double frozen = 0, trained = 0, sums = 0;
};

Standing StandingOf(const ModelShape& shape, const recipe::JobSpec& spec, double compute_bytes) {
  const bool full = spec.method.kind == "full";
  const auto trainable = static_cast<double>(TrainableParameters(shape, spec.method));
  const double vectors = VectorParameters(shape);
  const TrainedBytes trained = TrainedBytesOf(shape, spec, compute_bytes);
  Standing standing{.frozen = AllFrozen(shape, spec.method, compute_bytes), .sums = trained.partial};
  // Products read a copy in their type, kept between updates.
  double copied = 0;
  if (ReadsCopies(spec, compute_bytes)) copied = (full ? trainable - vectors : trainable) * compute_bytes;
  // Where values are divided vectors have a copy too, in their own type.
  if (full && trained.divides_values && !trained.divides_units) copied += vectors * 4;
  // Lists of the leaves whose digests the ledger has, of gradients and of weights.
  const double leaves = trainable / 1024 * 16 * 2;
  standing.trained = trained.state + leaves + (trained.divides_units ? 0 : copied);
  if (trained.divides_units) standing.sums += TwoUnits(shape, standing.frozen, copied, compute_bytes);
  standing.frozen = FrozenInPlace(shape, spec, standing.frozen, compute_bytes);
  return standing;
}

}  // namespace

BytesElsewhere BytesBesideDevice(const ModelShape& shape, const recipe::JobSpec& spec, bool bf16) {
  const double compute_bytes = bf16 ? 2 : 4;
  return ElsewhereOf(shape, spec, AllFrozen(shape, spec.method, compute_bytes), compute_bytes);
}

int64_t BytesBesideTensors(const recipe::JobSpec& spec) {
  return kContextBytes + (spec.parallel.ranks > 1 ? kNcclBytes : 0);
}

std::vector<MemoryPart> EstimateDeviceMemory(const ModelShape& shape, const recipe::JobSpec& spec, bool bf16,
                                             const DataSize& data, const Card& card) {
  const double compute_bytes = bf16 ? 2 : 4;
  const Standing standing = StandingOf(shape, spec, compute_bytes);
  MemoryMeter meter;
  const Tensor frozen(meter, Held::kFrozen, standing.frozen);
  const Tensor trained(meter, Held::kTrained, standing.trained);
  const Tensor sums(meter, Held::kSums, standing.sums);
  GoThroughPass(meter, PassSizesOf(shape, spec, bf16, BatchOf(spec, data), card));
  std::vector<MemoryPart> parts;
  for (size_t i = 0; i < kHeldKinds; ++i) parts.push_back({std::string(kNames[i]), meter.at_most()[i]});
  parts.push_back({"CUDA's context", BytesBesideTensors(spec), /*fixed=*/true});
  parts.push_back({"workspace of products", kWorkspaceBytes, /*fixed=*/true});
  return parts;
}

}  // namespace ft::plan
