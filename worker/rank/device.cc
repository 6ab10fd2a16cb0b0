#include "worker/rank/device.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstdlib>

#include "core/gpu/support.h"
#include "worker/train/cuda/cuda_library.h"
#include "worker/train/cuda/table.h"

namespace ft::rank {
namespace {

constexpr int kMultipliesBf16 = 8;  // sm_80: Ampere.

std::string VisibleDevices() {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return visible == nullptr ? "" : visible;
}

StatusOr<at::Device> OpenGpu() {
  RETURN_IF_ERROR(cuda::OpenCudaLibrary(cuda::CudaLibraryPath()));
  if (c10::impl::VirtualGuardImpl(at::kCUDA).deviceCount() == 0) {
    const std::string visible = VisibleDevices();
    return absl::FailedPreconditionError(StrCat(visible.empty()
                                                    ? "this machine has no GPU that CUDA can use"
                                                    : StrCat("CUDA finds none of the devices ", visible),
                                                ": see what nvidia-smi -L lists, or use device: cpu"));
  }
  const cuda::DeviceDescription card = cuda::CudaTable().describe(0);
  if (!IsSupportedCapability(card.major, card.minor)) {
    return absl::FailedPreconditionError(
        StrCat(card.name, " has compute capability ", card.major, ".", card.minor,
               ", 7.5 or newer is needed (Turing: T4, RTX 20): use device: cpu"));
  }
  return at::Device(at::kCUDA, 0);
}

}  // namespace

StatusOr<at::Device> OpenDevice(const std::string& wanted) {
  if (wanted == "cpu" || (wanted == "auto" && VisibleDevices().empty())) return at::Device(at::kCPU);
  if (wanted == "gpu" || wanted == "auto") return OpenGpu();
  return absl::InvalidArgumentError(StrCat("device '", wanted, "' is none of: auto, cpu, gpu"));
}

void ShareDevice(at::Device device, int slots) {
  if (!device.is_cpu() && slots > 1) cuda::CudaTable().set_memory_share(device.index(), 1.0 / slots);
}

StatusOr<std::string> ResolveDtype(const recipe::ModelSpec& model, at::Device device) {
  if (device.is_cpu()) {
    if (model.dtype != "auto") return model.dtype;
    return __builtin_cpu_supports("avx512bf16") ? "bf16" : "fp32";
  }
  const cuda::DeviceDescription card = cuda::CudaTable().describe(device.index());
  const bool bf16 = card.major >= kMultipliesBf16;
  if (model.dtype == "auto") return bf16 ? "bf16" : "fp16";
  if (model.dtype == "bf16" && !bf16) {
    return absl::InvalidArgumentError(StrCat("model.dtype: ", card.name,
                                             " does not multiply bf16 (compute capability ", card.major, ".",
                                             card.minor, ", 8.0 is the first): use auto or fp16"));
  }
  return model.dtype;
}

std::string DeviceFingerprint(at::Device device) {
  if (device.is_cpu()) return "";
  const cuda::DeviceDescription card = cuda::CudaTable().describe(device.index());
  const char* workspace = std::getenv("CUBLAS_WORKSPACE_CONFIG");
  return StrCat("gpu=", card.name, " sm=", card.major, card.minor, " sms=", card.multiprocessors, " ",
                card.libraries, " workspace=", workspace == nullptr ? "default" : workspace,
                " attention=flash2+efficient ");
}

}  // namespace ft::rank
