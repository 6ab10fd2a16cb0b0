// mm and addmm with an output type of their own, which only CUDA has: products of bfloat16 or float16 added up in float32 and, with a
// float32 output, never rounded. What cuBLAS does inside a product is not imitated, only its types.
#include <torch/library.h>

#include "tests/simdevice/current.h"
#include "tests/simdevice/host_view.h"

namespace ft::simdevice {
namespace {

using at::ScalarType;
using at::Tensor;

bool IsHalf(ScalarType type) { return type == at::kHalf || type == at::kBFloat16; }

void CheckProduct(const Tensor& a, const Tensor& b, ScalarType type, const Tensor& out) {
  TORCH_CHECK(a.dim() == 2 && b.dim() == 2, "mat1 and mat2 must be matrices, got ", a.dim(), "-D and ",
              b.dim(), "-D");
  TORCH_CHECK(a.size(1) == b.size(0), "mat1 and mat2 shapes cannot be multiplied (", a.size(0), "x",
              a.size(1), " and ", b.size(0), "x", b.size(1), ")");
  TORCH_CHECK(a.scalar_type() == b.scalar_type(), "input dtypes must be the same");
  TORCH_CHECK(type == a.scalar_type() || (type == at::kFloat && IsHalf(a.scalar_type())),
              "out_dtype must be the same as input dtype or fp32 for fp16/bf16 inputs");
  TORCH_CHECK(type == out.scalar_type(),
              "out_dtype must be the same as the dtype of the provided out tensor");
  for (const Tensor* tensor : {&b, &out}) {
    TORCH_CHECK(tensor->device() == a.device(),
                "Expected all tensors to be on the same device, but found at least two devices, ", a.device(),
                " and ", tensor->device(), "!");
  }
}

// out = beta self + alpha a b. `self` may be undefined.
struct Product {
  Tensor self, a, b;
  at::Scalar beta = 0, alpha = 1;
};

void Enqueue(const Product& product, const Tensor& out) {
  const ScalarType type = product.a.scalar_type();
  const ScalarType work = IsHalf(type) ? at::kFloat : type;
  Product host{HostView(product.self), HostView(product.a), HostView(product.b), product.beta, product.alpha};
  Device& device = DeviceOf(out);
  Check(device.Launch(CurrentStream(device), [host, target = HostView(out), work] {
    const WorkScope scope;
    const Tensor a = host.a.to(work), b = host.b.to(work);
    target.copy_(host.self.defined() ? at::addmm(host.self.to(work), a, b, host.beta, host.alpha)
                                     : at::mm(a, b));
  }));
}

void Resize(const Tensor& out, const Tensor& a, const Tensor& b) {
  const std::vector<int64_t> sizes = {a.size(0), b.size(1)};
  if (out.sizes() != sizes) out.resize_(sizes);
}

Tensor& MmDtypeOut(const Tensor& a, const Tensor& b, ScalarType type, Tensor& out) {
  CheckProduct(a, b, type, out);
  Resize(out, a, b);
  Enqueue({.a = a, .b = b}, out);
  return out;
}

Tensor MmDtype(const Tensor& a, const Tensor& b, ScalarType type) {
  Tensor out = at::empty({0}, a.options().dtype(type));
  return MmDtypeOut(a, b, type, out);
}

Tensor& AddmmDtypeOut(const Tensor& self, const Tensor& a, const Tensor& b, ScalarType type,
                      const at::Scalar& beta, const at::Scalar& alpha, Tensor& out) {
  CheckProduct(a, b, type, out);
  TORCH_CHECK(self.scalar_type() == type || self.scalar_type() == a.scalar_type(),
              "self dtype must match either out_dtype or mat1 dtype");
  TORCH_CHECK(self.device() == a.device(),
              "Expected all tensors to be on the same device, but found at least two devices, ", a.device(),
              " and ", self.device(), "!");
  Resize(out, a, b);
  Enqueue({self.expand(out.sizes()), a, b, beta, alpha}, out);
  return out;
}

Tensor AddmmDtype(const Tensor& self, const Tensor& a, const Tensor& b, ScalarType type,
                  const at::Scalar& beta, const at::Scalar& alpha) {
  Tensor out = at::empty({0}, a.options().dtype(type));
  return AddmmDtypeOut(self, a, b, type, beta, alpha, out);
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("mm.dtype", TORCH_FN(MmDtype));
  library.impl("mm.dtype_out", TORCH_FN(MmDtypeOut));
  library.impl("addmm.dtype", TORCH_FN(AddmmDtype));
  library.impl("addmm.dtype_out", TORCH_FN(AddmmDtypeOut));
}

}  // namespace ft::simdevice
