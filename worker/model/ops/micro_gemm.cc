#include "worker/model/ops/micro_gemm.h"

#include <ATen/native/CPUBlas.h>
#include <cpuid.h>
#include <torch/types.h>

#include <exception>
#include <vector>

#include "core/base/check.h"
#include "kernels/panel/panel.h"

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

namespace {

bool emulates_bf16 = false;

// Intel's cores from Golden Cove on, which AVX512-FP16 tells from Cooper Lake, multiply bfloat16 in matrix tiles (AMX). Where a virtual
// machine hides those, what is left takes two cycles a vector: half of float32's rate (docs/decisions/0140).
bool Bf16IsSlowerThanFloat() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(0, &a, &b, &c, &d) == 0 || b != signature_INTEL_ebx) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kAmxBf16 = 1u << 22, kAvx512Fp16 = 1u << 23;
  return (d & kAvx512Fp16) != 0 && (d & kAmxBf16) == 0;
}

bool CpuMultipliesBf16() {
  static const bool multiplies = !Bf16IsSlowerThanFloat() && HasKernel<kernels::BF16>();
  return multiplies;
}

// Both sides in float32, the right one out of its pairs of rows.
void MultiplyWidened(const MicroGemm<kernels::BF16>& p) {
  constexpr int64_t kGroup = kernels::kGroup<kernels::BF16>;
  std::vector<float> a(p.rows * p.inner), b(p.inner * p.columns);
  for (int64_t row = 0; row < p.rows; ++row) {
    for (int64_t k = 0; k < p.inner; ++k) a[row * p.inner + k] = kernels::ToFloat(p.a[row * p.a_stride + k]);
  }
  for (int64_t k = 0; k < p.inner; ++k) {
    const kernels::BF16* group = p.b + k / kGroup * p.b_stride * kGroup + k % kGroup;
    for (int64_t column = 0; column < p.columns; ++column) {
      b[k * p.columns + column] = kernels::ToFloat(group[column * kGroup]);
    }
  }
  Multiply<float>(
      {p.rows, p.columns, p.inner, a.data(), p.inner, b.data(), p.columns, p.c, p.c_stride, p.add});
}

}  // namespace

bool MultipliesBf16() { return emulates_bf16 || CpuMultipliesBf16(); }

void EmulateBf16Products() { emulates_bf16 = true; }

template <>
void Multiply<kernels::BF16>(const MicroGemm<kernels::BF16>& gemm) {
  if (CpuMultipliesBf16()) return Brgemm(gemm);
  MultiplyWidened(gemm);
}

}  // namespace ft::ops
