// A term of a fused GEMM (fused_gemm.h) whose left side has few rows, as in generation, which has one: a weight is read once, from where it
// lies, and multiplied in registers. NF4 is multiplied by its codes (kernels/nf4/nf4_rows.h), other weights row by row, those in 8 bits by
// their codes too (kernels/panel/row_sums.h); no panel is packed.
//
// Sums are float32 of float32 products, in an order of their own: they differ from a panel's in the last bits, and with bfloat16 in that
// values of NF4 and of 8 bits are not rounded to it first. So only who asks for them gets them: training, whose numbers are promised, never does.
#pragma once

#include <torch/types.h>

#include <memory>

#include "worker/model/ops/panel_gemm.h"
#include "worker/model/ops/weight_slot.h"

namespace ft::ops {

// Rows that are few. One and four were measured; that eight are still faster than panels, which cost the same for any few rows, was reckoned from these.
inline constexpr int64_t kMostFewRows = 8;

// While one lives, fused GEMMs and attention (few_rows_attention.h) that its thread starts on the CPU are computed this way where they have
// few rows. No gradient passes through either.
class FewRowsScope {
 public:
  FewRowsScope();
  ~FewRowsScope();
  FewRowsScope(const FewRowsScope&) = delete;
  FewRowsScope& operator=(const FewRowsScope&) = delete;

  // Whether one lives on the calling thread.
  static bool Active();
};

// x times the transpose of the weight. Null where panels it must be: many rows, or a weight of neither kind, such as NF4 whose rows are not
// whole blocks. `weight` outlives the result. The same bits for any number of threads and of rows.
std::unique_ptr<PanelGemm> MakeRowGemm(const torch::Tensor& x_NI, const WeightSlot& weight_OI);

}  // namespace ft::ops
