#include "tests/simdevice/host_view.h"

#include "tests/simdevice/current.h"

namespace ft::simdevice {

at::Tensor HostView(const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.is_cpu()) return tensor;
  const at::TensorOptions options = tensor.options().device(at::kCPU);
  if (tensor.numel() == 0) return at::empty_strided(tensor.sizes(), tensor.strides(), options);
  void* bytes = DeviceOf(tensor).Host(tensor.const_data_ptr());
  const at::Tensor view = at::from_blob(bytes, tensor.sizes(), tensor.strides(), options);
  KeepNumber(tensor, view);
  return view;
}

void KeepNumber(const at::Tensor& from, const at::Tensor& to) {
  if (from.unsafeGetTensorImpl()->is_wrapped_number()) to.unsafeGetTensorImpl()->set_wrapped_number(true);
}

}  // namespace ft::simdevice
