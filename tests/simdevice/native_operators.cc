// The operators that every device of LibTorch brings itself: making tensors, views of them, copies.
#include <ATen/EmptyTensor.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <torch/library.h>

#include "tests/simdevice/allocators.h"
#include "tests/simdevice/copy.h"
#include "tests/simdevice/current.h"
#include "tests/simdevice/fallback.h"

namespace ft::simdevice {
namespace {

using at::Tensor;

// Memory is allocated on the current device.
c10::DeviceGuard On(std::optional<at::Device> device) {
  return c10::DeviceGuard(
      c10::Device(kType, device && device->has_index() ? device->index() : CurrentDevice()));
}

Tensor EmptyMemoryFormat(c10::IntArrayRef size, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout>, std::optional<at::Device> device,
                         std::optional<bool> pinned, std::optional<at::MemoryFormat> format) {
  TORCH_CHECK(!pinned.value_or(false), "Only dense CPU tensors can be pinned");
  const c10::DeviceGuard guard = On(device);
  return at::detail::empty_generic(size, &DeviceMemoryAllocator(), c10::DispatchKeySet(kKey),
                                   c10::dtype_or_default(dtype), format);
}

Tensor EmptyStrided(c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                    std::optional<at::Layout>, std::optional<at::Device> device, std::optional<bool> pinned) {
  TORCH_CHECK(!pinned.value_or(false), "Only dense CPU tensors can be pinned");
  const c10::DeviceGuard guard = On(device);
  return at::detail::empty_strided_generic(size, stride, &DeviceMemoryAllocator(), c10::DispatchKeySet(kKey),
                                           c10::dtype_or_default(dtype));
}

Tensor AsStrided(const Tensor& self, c10::IntArrayRef size, c10::IntArrayRef stride,
                 std::optional<int64_t> offset) {
  return at::native::as_strided_tensorimpl(self, size, stride, offset);
}

Tensor View(const Tensor& self, c10::IntArrayRef size) { return at::native::view(self, size); }

Tensor ReshapeAlias(const Tensor& self, c10::IntArrayRef size, c10::IntArrayRef stride) {
  return at::native::_reshape_alias(self, size, stride);
}

// Keeps the bytes that were there, as CUDA's does.
const Tensor& ResizeInPlace(const Tensor& self, c10::IntArrayRef size, std::optional<at::MemoryFormat>) {
  const c10::Storage& storage = self.storage();
  const size_t bytes = at::detail::computeStorageNbytesContiguous(size, self.dtype().itemsize(),
                                                                  static_cast<size_t>(self.storage_offset()));
  if (bytes > storage.nbytes()) {
    const c10::DeviceGuard guard(self.device());
    at::DataPtr grown = DeviceMemoryAllocator().allocate(bytes);
    if (storage.nbytes() > 0)
      DeviceMemoryAllocator().copy_data(grown.get(), storage.data(), storage.nbytes());
    storage.set_data_ptr_noswap(std::move(grown));
    storage.set_nbytes(bytes);
  }
  self.unsafeGetTensorImpl()->set_sizes_contiguous(size);
  return self;
}

Tensor& SetStorage(Tensor& self, at::Storage source, int64_t offset, c10::IntArrayRef size,
                   c10::IntArrayRef stride) {
  self.unsafeGetTensorImpl()->set_storage_keep_dtype(std::move(source));
  self.unsafeGetTensorImpl()->set_storage_offset(offset);
  self.unsafeGetTensorImpl()->set_sizes_and_strides(size, stride);
  return self;
}

Tensor& CopyInPlace(Tensor& self, const Tensor& source, bool non_blocking) {
  Copy(source, self, non_blocking);
  return self;
}

Tensor CopyFrom(const Tensor& self, const Tensor& to, bool non_blocking) {
  Copy(self, to, non_blocking);
  return to;
}

Tensor CopyFromAndResize(const Tensor& self, const Tensor& to) {
  if (to.sizes() != self.sizes()) to.resize_(self.sizes());
  Copy(self, to, false);
  return to;
}

std::vector<Tensor> ToCpu(at::TensorList tensors) {
  std::vector<Tensor> result;
  for (const Tensor& tensor : tensors) result.push_back(tensor.defined() ? tensor.cpu() : tensor);
  return result;
}

at::Scalar LocalScalar(const Tensor& self) { return self.cpu().item(); }

void RecordOnStream(Tensor& self, c10::Stream stream) {
  DeviceMemoryAllocator().recordStream(self.storage().data_ptr(), stream);
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("empty.memory_format", TORCH_FN(EmptyMemoryFormat));
  library.impl("empty_strided", TORCH_FN(EmptyStrided));
  library.impl("as_strided", TORCH_FN(AsStrided));
  library.impl("view", TORCH_FN(View));
  library.impl("_reshape_alias", TORCH_FN(ReshapeAlias));
  library.impl("resize_", TORCH_FN(ResizeInPlace));
  library.impl("set_.source_Storage_storage_offset", TORCH_FN(SetStorage));
  library.impl("copy_", TORCH_FN(CopyInPlace));
  library.impl("_copy_from", TORCH_FN(CopyFrom));
  library.impl("_copy_from_and_resize", TORCH_FN(CopyFromAndResize));
  library.impl("_to_cpu", TORCH_FN(ToCpu));
  library.impl("_local_scalar_dense", TORCH_FN(LocalScalar));
  library.impl("record_stream", TORCH_FN(RecordOnStream));
}

TORCH_LIBRARY_IMPL(_, CUDA, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&Fallback>());
}

}  // namespace ft::simdevice
