#include "worker/train/cuda/cuda_library.h"

#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>
#include <torch/version.h>

#include <fstream>
#include <iterator>

#include "core/base/check.h"
#include "core/base/str_cat.h"

// Only programs of tests define it (tests/simdevice/chosen_library.cc): the library that was chosen, null where none was.
extern "C" const char* FtChosenCudaLibrary() __attribute__((weak));

namespace ft::cuda {
namespace {

const Table* opened = nullptr;  // Written once, before the training thread starts to compute.

}  // namespace

std::filesystem::path CudaLibraryPath() {
  const char* chosen = FtChosenCudaLibrary == nullptr ? nullptr : FtChosenCudaLibrary();
  if (chosen != nullptr) return chosen;
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  return program.parent_path().parent_path() / "lib" / "libft_cuda.so";
}

Status OpenCudaLibrary(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return absl::NotFoundError(
        StrCat(path.string(), " is missing: build it (make build TARGET=ft_cuda) or use device: cpu"));
  }
  // Never closed: LibTorch keeps pointers into it.
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) return absl::FailedPreconditionError(StrCat(path.string(), ": ", ::dlerror()));
  const auto function = reinterpret_cast<TableFunction>(::dlsym(library, kTableSymbol));
  const Table* table = function == nullptr ? nullptr : function();
  if (table == nullptr || table->version != kTableVersion) {
    return absl::FailedPreconditionError(
        StrCat(path.string(), " is of another build than this program: install both anew"));
  }
  ops::UseKernels(c10::DeviceType::CUDA, table->kernels);
  opened = table;
  const std::string refusal = table->check_driver();
  return refusal.empty() ? absl::OkStatus() : absl::FailedPreconditionError(refusal);
}

const Table& CudaTable() {
  FT_CHECK(opened != nullptr) << "the library for GPUs is not open";
  return *opened;
}

StatusOr<std::string> DescribeCudaLibrary() {
  std::ifstream file("/proc/self/maps");  // Of no size that could be asked for.
  const std::string maps((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  for (const char* library : {"libtorch_cuda.so", "libnccl.so"}) {
    if (maps.find(library) == std::string::npos) {
      return absl::FailedPreconditionError(
          StrCat(library, " is not loaded: libft_cuda.so was linked without it"));
    }
  }
  try {
    // The hooks are LibTorch's half for CUDA. Without libtorch_cuda they throw.
    return StrCat("LibTorch ", TORCH_VERSION, ", cuDNN ", at::detail::getCUDAHooks().versionCuDNN(),
                  ", libtorch_cuda and libnccl mapped");
  } catch (const std::exception& error) {
    return absl::FailedPreconditionError(StrCat("LibTorch has no CUDA hooks: ", error.what()));
  }
}

}  // namespace ft::cuda
