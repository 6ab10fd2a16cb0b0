#include "worker/model/ops/micro_gemm.h"

#include <ATen/native/CPUBlas.h>
#include <torch/torch.h>

#include <exception>

#include "core/base/check.h"

namespace ft::ops {
namespace {

namespace blas = at::native::cpublas;

void Brgemm(const MicroGemm<kernels::BF16>& p) {
  blas::brgemm(p.rows, p.columns, p.inner, p.a_stride, p.b_stride, p.c_stride, p.add,
               reinterpret_cast<const at::BFloat16*>(p.a), reinterpret_cast<const at::BFloat16*>(p.b), p.c,
               /*is_vnni=*/true);
}

void Brgemm(const MicroGemm<float>& p) {
  blas::brgemm(p.rows, p.columns, p.inner, p.a_stride, p.b_stride, p.c_stride, p.add, p.a, p.b, p.c,
               /*is_vnni=*/false);
}

// Whether oneDNN has a kernel for this type here: LibTorch answers by throwing, and where it does not know,
// oneDNN does.
template <typename T>
bool HasKernel() {
  const T a[2] = {}, b[2] = {};
  float c = 0;
  try {
    Brgemm(MicroGemm<T>{1, 1, 2, a, 2, b, 1, &c, 1});
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

bool MultipliesBf16() {
  static const bool multiplies = HasKernel<kernels::BF16>();
  return multiplies;
}

template <>
void Multiply<kernels::BF16>(const MicroGemm<kernels::BF16>& gemm) {
  Brgemm(gemm);
}

template <>
void Multiply<float>(const MicroGemm<float>& p) {
  static const bool has_kernel = HasKernel<float>();
  if (has_kernel) return Brgemm(p);
  // CPUs before AVX2.
  const auto view = [](const float* data, int64_t rows, int64_t columns, int64_t stride) {
    return torch::from_blob(const_cast<float*>(data), {rows, columns}, {stride, 1}, torch::kFloat);
  };
  torch::Tensor c = view(p.c, p.rows, p.columns, p.c_stride);
  if (!p.add) c.zero_();
  c.addmm_(view(p.a, p.rows, p.inner, p.a_stride), view(p.b, p.inner, p.columns, p.b_stride));
}

}  // namespace ft::ops
