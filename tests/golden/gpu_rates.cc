#include "tests/golden/gpu_rates.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <chrono>
#include <cstdio>
#include <functional>

#include "nlohmann/json.hpp"
#include "worker/model/ops/nf4.h"
#include "worker/rank/device.h"
#include "worker/rank/flags.h"
#include "worker/train/cuda/cuda_library.h"

namespace ft::golden {
namespace {

using torch::Tensor;

constexpr int kWarmUp = 3;

// The defaults are larger than any card's caches: a weight of a 7B, a GiB, a product near the card's ceiling.
struct Sizes {
  int64_t rows = 11008, columns = 4096, copy_mib = 1024, gemm = 8192, calls = 20;
};

StatusOr<Sizes> SizesOf(const std::vector<std::string>& arguments) {
  ASSIGN_OR_RETURN(const rank::Flags flags,
                   rank::Flags::Parse(arguments, {"rows", "columns", "copy-mib", "gemm", "calls"}, {}));
  Sizes sizes;
  const std::pair<const char*, int64_t*> fields[] = {{"rows", &sizes.rows},
                                                     {"columns", &sizes.columns},
                                                     {"copy-mib", &sizes.copy_mib},
                                                     {"gemm", &sizes.gemm},
                                                     {"calls", &sizes.calls}};
  for (const auto& [name, value] : fields) {
    ASSIGN_OR_RETURN(*value, flags.Int(name, *value));
    if (*value < 1 || *value > 1 << 20) {
      return absl::InvalidArgumentError(
          StrCat("--", name, " is ", *value, ": 1 to ", 1 << 20, " are possible"));
    }
  }
  return sizes;
}

// Mean seconds of a call. The device is waited for before and behind all calls together, so what it costs to ask for one is hidden
// where the device is the slower of the two, as in a step.
double SecondsOf(at::Device device, int64_t calls, const std::function<void()>& call) {
  const c10::impl::VirtualGuardImpl guard(device.type());
  const auto run = [&](int64_t times) {
    const auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < times; ++i) call();
    guard.synchronizeDevice(device.index());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  run(kWarmUp);
  return run(calls) / static_cast<double>(calls);
}

double CopyRate(at::Device device, const Sizes& sizes) {
  const int64_t bytes = sizes.copy_mib << 20;
  const Tensor source = torch::zeros({bytes}, at::TensorOptions(device).dtype(torch::kUInt8));
  Tensor target = torch::empty_like(source);
  return 2.0 * static_cast<double>(bytes) / SecondsOf(device, sizes.calls, [&] { target.copy_(source); });
}

// Random factors: a card draws less power, and is faster, over zeros.
double GemmRate(at::Device device, const Sizes& sizes) {
  const auto draw = [&] { return torch::randn({sizes.gemm, sizes.gemm}).to(torch::kBFloat16).to(device); };
  const Tensor left = draw(), right = draw();
  Tensor out = torch::empty_like(left);
  const auto side = static_cast<double>(sizes.gemm);
  return 2 * side * side * side / SecondsOf(device, sizes.calls, [&] { at::mm_out(out, left, right); });
}

double Nf4Rate(at::Device device, const Sizes& sizes) {
  const ops::Nf4Tensor weight =
      ops::ToDevice(ops::QuantiseNf4(torch::randn({sizes.rows, sizes.columns})), device);
  const auto written = static_cast<double>(weight.count()) * 2;
  const auto read = static_cast<double>(weight.packed.nbytes() + weight.absmax_codes.nbytes() +
                                        weight.nested_absmax.nbytes());
  const double seconds =
      SecondsOf(device, sizes.calls, [&] { ops::DequantiseNf4(weight, torch::kBFloat16); });
  return (read + written) / seconds;
}

}  // namespace

StatusOr<bool> GpuRatesVerb(const std::vector<std::string>& arguments) {
  ASSIGN_OR_RETURN(const Sizes sizes, SizesOf(arguments));
  ASSIGN_OR_RETURN(const at::Device device, rank::OpenDevice("gpu"));
  const torch::NoGradGuard no_grad;
  const cuda::DeviceDescription card = cuda::CudaTable().describe(device.index());
  const nlohmann::json found = {{"card", card.name},
                                {"memory_bytes", card.memory_bytes},
                                {"copy_bytes_per_second", CopyRate(device, sizes)},
                                {"gemm_flops", GemmRate(device, sizes)},
                                {"nf4_bytes_per_second", Nf4Rate(device, sizes)}};
  std::printf("%s\n", found.dump().c_str());
  return true;
}

}  // namespace ft::golden
