#include "worker/ops/wide_product.h"

#include <algorithm>

#include "kernels/attention/attention.h"
#include "worker/ops/kernel_call.h"
#include "worker/ops/product.h"
#include "worker/ops/thread_arena.h"

namespace ft::ops {
namespace {

using kernels::BF16;
using torch::Tensor;

// Columns of the result that a thread takes at a time: small enough to divide the narrowest layers of a model among a few
// threads, wide enough for the processor's dot products. Rows are divided so that oneDNN makes few kernels.
constexpr int64_t kColumns = 32, kRows = 64;

void AddPanels(const Tensor& a_NK, const Tensor& b_OK, Tensor& y_NO) {
  const int64_t rows = a_NK.size(0), inner = a_NK.size(1), columns = b_OK.size(0);
  const BF16* a = Data<BF16>(a_NK);
  const kernels::HeadRows<BF16> b{Data<BF16>(b_OK), columns, inner, inner};
  float* y = MutableData<float>(y_NO);
  at::parallel_for(0, (columns + kColumns - 1) / kColumns, 1, [&](int64_t first, int64_t last) {
    ThreadArena& arena = ThreadArena::Of(ThreadArena::Piece<BF16>(kColumns * inner));
    BF16* panel = arena.Take<BF16>(kColumns * inner);
    for (int64_t column = first * kColumns; column < std::min(last * kColumns, columns); column += kColumns) {
      const kernels::HeadRows<BF16> part = b.Part(column, kColumns);
      kernels::PackTransposed(part, panel);
      for (int64_t row = 0; row < rows; row += kRows) {
        Multiply<BF16>({std::min(kRows, rows - row), part.rows, inner, a + row * inner, inner, panel, part.rows,
                        y + row * columns + column, columns, true});
      }
    }
  });
}

}  // namespace

void AddWideProduct(Tensor& y_NO, const Tensor& a_NK, const Tensor& b_OK) {
  const at::ScalarType type = a_NK.scalar_type();
  if (type == at::kFloat) {
    y_NO.addmm_(a_NK, b_OK.t());
  } else if (type == at::kBFloat16 && a_NK.is_cpu() && a_NK.size(1) % 2 == 0 && MultipliesBf16()) {
    AddPanels(a_NK.contiguous(), b_OK.contiguous(), y_NO);
  } else {
    y_NO.add_(at::mm(a_NK, b_OK.t()));
  }
}

}  // namespace ft::ops
