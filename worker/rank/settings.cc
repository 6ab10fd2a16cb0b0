#include "worker/rank/settings.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/version.h>

#include <torch/types.h>

#include <cstdio>

#include "core/base/sha256.h"
#include "core/recipe/json.h"
#include "core/recipe/sharding.h"
#include "worker/model/ops/micro_gemm.h"
#include "worker/rank/device.h"

namespace ft::rank {
namespace {

// Each grows whenever a kernel or product of ours changes a bit of a result: on CPUs with products of float32, with products of bf16, and
// on other devices.
constexpr int kKernelVersion = 5, kBf16KernelVersion = 6, kDeviceKernelVersion = 7;

int KernelVersion(at::Device device) {
  if (!device.is_cpu()) return kDeviceKernelVersion;
  return ops::MultipliesBf16() ? kBf16KernelVersion : kKernelVersion;
}

}  // namespace

void FixNumerics(int threads) {
  at::set_num_threads(threads);
  at::set_num_interop_threads(1);
  at::Context& context = at::globalContext();
  context.setDeterministicAlgorithms(/*enable=*/true, /*warn_only=*/false);
  // What is not written yet is not read: filling it would cost a pass over every tensor.
  context.setDeterministicFillUninitializedMemory(false);
  // Partial sums of a GPU's products stay in float32.
  context.setAllowBF16ReductionCuBLAS(false);
  context.setAllowFP16ReductionCuBLAS(false);
}

std::string NumericFingerprint(int threads, at::Device device) {
  // LibTorch's level is the same with and without bf16 products, which decide what bf16 jobs round.
  return StrCat(DeviceFingerprint(device), "cpu=", at::get_cpu_capability(),
                ops::MultipliesBf16() ? "+bf16" : "", " torch=", TORCH_VERSION, " threads=", threads,
                " kernels=", KernelVersion(device));
}

std::string SettingsDigest(const recipe::JobSpec& spec) {
  recipe::JobSpec deciding = spec;
  deciding.name.clear();
  deciding.labels.clear();
  deciding.train.checkpoint = {};
  deciding.train.evaluate = {};
  deciding.train.ledger_every = 0;
  deciding.resources = {};
  deciding.data.clear();
  deciding.gate = {};
  deciding.allow_numeric_change = false;
  deciding.strict_exclusive = false;
  // Where moments lie changes none.
  if (spec.train.optimizer.kind == "paged_adamw") deciding.train.optimizer.kind = "adamw";
  // How the work is divided decides numbers only by the micro-batches of a step and the leaves of its sums.
  const int leaves = recipe::MaxRanks(spec.parallel);
  deciding.train.accumulation = recipe::MicroBatchesPerStep(spec);
  const int ranks = spec.parallel.ranks;
  deciding.parallel = {};
  // What is counted by rank, as submitted, follows them.
  if (recipe::HasXTunersHabits(spec) || spec.train.schedule.by == "micro_batch")
    deciding.parallel.ranks = ranks;
  if (leaves > 1) deciding.parallel.max_ranks = leaves;
  if (recipe::SumOrderOf(spec) == recipe::SumOrder::kMicroBatch) deciding.parallel.exchange = "micro_batch";
  return Hex(Sha256Of(recipe::ToJson(deciding)));
}

int VersionVerb(const std::vector<std::string>&) {
  std::printf("ft-rank %s, LibTorch %s, %s\n", FT_VERSION, TORCH_VERSION, at::get_cpu_capability().c_str());
  return 0;
}

}  // namespace ft::rank
