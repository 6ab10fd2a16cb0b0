#include "core/recipe/sharding.h"

namespace ft::recipe {
namespace {

struct DeepspeedName {
  std::string_view name;
  int zero;
  const char* optimizer;
  const char* parameters;
};

// xtuner/configs/deepspeed at v0.1.9, which recipes/zero has as recipes.
constexpr DeepspeedName kDeepspeedNames[] = {{"deepspeed_zero1", 1, "none", "none"},
                                             {"deepspeed_zero2", 2, "none", "none"},
                                             {"deepspeed_zero2_offload", 2, "cpu", "none"},
                                             {"deepspeed_zero3", 3, "none", "none"},
                                             {"deepspeed_zero3_offload", 3, "cpu", "cpu"}};

void AddRemarks(const ParallelSpec& parallel, bool moves_weights, Sharding& sharding) {
  if (parallel.zero == 0) return;
  if (sharding.slices == 1) {
    if (parallel.zero == 3 && moves_weights) return;  // Units come and go, on one rank too.
    sharding.remarks.push_back(StrCat("parallel.zero: ", parallel.zero,
                                      " with one rank equals zero: 0, there is nothing to divide"));
  } else if (parallel.zero >= 2 && !sharding.gradients_sliced) {
    sharding.remarks.push_back(
        StrCat("parallel.zero: ", parallel.zero,
               " keeps a whole gradient on each rank, since gradients are exchanged once a step; "
               "with "
               "parallel.exchange: micro_batch each rank keeps its slices only, and the result has other "
               "last bits"));
  }
}

}  // namespace

SumOrder SumOrderOf(const JobSpec& spec) {
  const ParallelSpec& parallel = spec.parallel;
  const bool by_micro_batch =
      parallel.exchange == "micro_batch" ||
      (parallel.exchange == "auto" && spec.method.kind == "full" && MaxRanks(parallel) > 1);
  return by_micro_batch ? SumOrder::kMicroBatch : SumOrder::kStep;
}

bool TakeDeepspeedName(std::string_view name, ParallelSpec& parallel) {
  for (const DeepspeedName& known : kDeepspeedNames) {
    if (name != known.name) continue;
    parallel.zero = known.zero;
    parallel.offload = {.optimizer = known.optimizer, .parameters = known.parameters};
    return true;
  }
  return false;
}

std::string DeepspeedNames() {
  std::string all;
  for (const DeepspeedName& known : kDeepspeedNames) StrAppend(&all, all.empty() ? "" : ", ", known.name);
  return all;
}

StatusOr<Sharding> Sharding::Of(const JobSpec& spec) {
  const ParallelSpec& parallel = spec.parallel;
  const OffloadSpec& offload = parallel.offload;
  if (offload.parameters != "none" && parallel.zero < 3 && spec.method.kind == "full") {
    return absl::InvalidArgumentError(
        "parallel.offload.parameters needs zero: 3, or a base that is not trained: set one of the two, or "
        "none");
  }
  if (!offload.path.empty() && offload.optimizer != "disk" && offload.parameters != "disk") {
    return absl::InvalidArgumentError(
        "parallel.offload.path: nothing rests on disk: set parallel.offload.optimizer or "
        "parallel.offload.parameters to disk, or take it out");
  }
  if (!offload.path.empty() && !offload.path.starts_with('/')) {
    return absl::InvalidArgumentError(
        StrCat("parallel.offload.path: '", offload.path,
               "' is a folder of whichever node trains: write it from the root (/)"));
  }
  Sharding sharding{.slices = MaxRanks(parallel)};
  sharding.order = SumOrderOf(spec);
  sharding.states_sliced = parallel.zero > 0 && sharding.slices > 1;
  sharding.gradients_sliced = sharding.states_sliced && sharding.order == SumOrder::kMicroBatch;
  sharding.weights_sliced = sharding.states_sliced && parallel.zero == 3;
  // Where a CPU trains, its memory is where everything lies.
  const bool on_cpu = spec.resources.device == "cpu";
  AddRemarks(parallel,
             /*moves_weights=*/offload.parameters == "disk" || (offload.parameters == "cpu" && !on_cpu),
             sharding);
  if (on_cpu && (offload.optimizer == "cpu" || offload.parameters == "cpu"))
    sharding.remarks.push_back("parallel.offload: a CPU's memory is where all of it lies, nothing is moved");
  return sharding;
}

}  // namespace ft::recipe
