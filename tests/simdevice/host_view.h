// How the work of a simulated device, and nobody else, sees the bytes of a tensor.
#pragma once

#include <torch/types.h>

namespace ft::simdevice {

// A host tensor over the same bytes, of the same sizes and strides; a host tensor itself. It does not keep the memory: the caller uses
// it in work only, and memory is released in the order of its stream.
at::Tensor HostView(const at::Tensor& tensor);

// Makes `to` a number that does not widen types, where `from` is one (x * 2.5 stays bfloat16).
void KeepNumber(const at::Tensor& from, const at::Tensor& to);

// In work: no gradients, whatever thread it runs on.
struct WorkScope {
  at::NoGradGuard no_gradients;
  at::AutoDispatchBelowADInplaceOrView below_autograd;
};

}  // namespace ft::simdevice
