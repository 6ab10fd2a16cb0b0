#include "worker/model/params/unit_buffer.h"

#include <functional>
#include <numeric>

#include "core/base/check.h"

namespace ft::params {

UnitBuffer::UnitBuffer(int64_t bytes, at::Device device)
    : bytes_(torch::empty({bytes}, at::TensorOptions(at::kByte).device(device))) {
  Free();
}

torch::Tensor UnitBuffer::View(int64_t offset, at::ScalarType type, at::IntArrayRef shape) const {
  const int64_t elements = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  const auto width = static_cast<int64_t>(at::elementSize(type));
  FT_CHECK(offset % width == 0 && offset + elements * width <= size());
  return bytes_.narrow(0, offset, elements * width).view(type).view(shape);
}

// A fresh tensor's memory, wherever the device's allocator has it, comes under the storage that all views share.
void UnitBuffer::Allocate() {
  FT_CHECK(bytes_.storage().data_ptr().get() == nullptr || size() == 0);
  const torch::Tensor fresh = torch::empty_like(bytes_);
  bytes_.storage().set_data_ptr(fresh.storage().set_data_ptr(c10::DataPtr(nullptr, bytes_.device())));
}

void UnitBuffer::Free() { bytes_.storage().set_data_ptr(c10::DataPtr(nullptr, bytes_.device())); }

}  // namespace ft::params
