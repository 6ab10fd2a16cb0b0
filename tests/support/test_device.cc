#include "tests/support/test_device.h"

#include <cstdlib>
#include <string_view>

#include "core/base/check.h"
#include "worker/model/ops/micro_gemm.h"
#include "worker/train/cuda/cuda_library.h"

namespace ft {
namespace {

at::Device Open() {
  const char* products = std::getenv("FT_TEST_BF16_PRODUCTS");
  if (products != nullptr && std::string_view(products) == "emulated") ops::EmulateBf16Products();
  const char* wanted = std::getenv("FT_TEST_DEVICE");
  if (wanted == nullptr || std::string_view(wanted) != "gpu") return at::kCPU;
  const char* library = std::getenv("FT_CUDA_LIBRARY");
  FT_CHECK(library != nullptr) << "FT_TEST_DEVICE=gpu needs FT_CUDA_LIBRARY";
  const Status opened = cuda::OpenCudaLibrary(library);
  FT_CHECK(opened.ok()) << Message(opened);
  at::globalContext().setDeterministicAlgorithms(true, false);
  return at::Device(at::kCUDA, 0);
}

}  // namespace

at::Device TestDevice() {
  static const at::Device device = Open();
  return device;
}

namespace {

// Before main: LibTorch looks for a device once, at the first call that could want one.
[[maybe_unused]] const at::Device opened_early = TestDevice();

}  // namespace

}  // namespace ft
