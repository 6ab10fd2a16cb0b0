#include "worker/model/ops/panel_gemm.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/micro_gemm.h"

namespace ft::ops {
namespace {

using kernels::BF16;
using kernels::StridedRows;
using torch::Tensor;

// Rows of the panel that are multiplied at a time, in values of W.
template <typename W>
constexpr int64_t kInner = 1024 / sizeof(W);

// Rows of a in one micro-GEMM. Fewer rows go in halves, so that oneDNN makes a handful of
// kernels whatever the number of rows.
constexpr int64_t kRows = 64;

// Rows whose distance is a multiple of a page fall into few cache sets.
constexpr int64_t kPage = 4096;

// a in values of W, in slices of kInner<W> columns: packed where it must be converted or its rows would
// conflict in the cache, else in place.
template <typename W>
class PackedA {
 public:
  template <typename T>
  PackedA(const Tensor& a_NK, T) : tensor_(a_NK), rows_(a_NK.size(0)), inner_(a_NK.size(1)) {
    if constexpr (std::is_same_v<T, W>) {
      if (inner_ * static_cast<int64_t>(sizeof(W)) % kPage != 0) return;
    }
    sliced_ = true;
    tensor_ = torch::empty({rows_ * inner_}, TypeOf());
    const T* from = Data<T>(a_NK);
    W* to = MutableData<W>(tensor_);
    OverRows(rows_, inner_, [&](int64_t first, int64_t last) {
      for (int64_t k = 0; k < inner_; k += kInner<W>) {
        const int64_t width = std::min(kInner<W>, inner_ - k);
        kernels::CopyRows<T, W>({from + first * inner_ + k, last - first, width, inner_},
                                to + k * rows_ + first * width);
      }
    });
  }

  int64_t inner() const { return inner_; }
  // `rows` rows from `row` on, of the slice that begins at k.
  StridedRows<W> Slice(int64_t k, int64_t row, int64_t rows) const {
    const int64_t width = std::min(kInner<W>, inner_ - k);
    const W* data = Data<W>(tensor_);
    if (sliced_) return {data + k * rows_ + row * width, rows, width, width};
    return {data + row * inner_ + k, rows, width, inner_};
  }

 private:
  static at::ScalarType TypeOf() { return std::is_same_v<W, float> ? at::kFloat : at::kBFloat16; }

  Tensor tensor_;
  const int64_t rows_, inner_;
  bool sliced_ = false;
};

// T is the matrix's type, W the one that is multiplied.
template <typename T, typename W>
class PanelGemmOf final : public PanelGemm {
 public:
  PanelGemmOf(PackedA<W> a, std::shared_ptr<const MatrixTiles> matrix, bool transposed)
      : a_(std::move(a)), matrix_(std::move(matrix)), transposed_(transposed) {}

  void Multiply(const GemmBlock& block, float* sums, bool add, std::byte* memory) const override {
    static_assert(kPanelColumns * kInner<W> * sizeof(W) + kScratch * sizeof(T) <= kWorkingBytes);
    W* panel = reinterpret_cast<W*>(memory);
    T* scratch = reinterpret_cast<T*>(panel + kPanelColumns * kInner<W>);
    for (int64_t k = 0; k < a_.inner(); k += kInner<W>) {
      const StridedRows<W> a = a_.Slice(k, block.first_row, block.rows);
      const StridedRows<T> tile = TileOf(block, k, a.columns, scratch);
      for (int64_t column = 0; column < block.columns; column += kPanelColumns) {
        const int64_t columns = std::min(kPanelColumns, block.columns - column);
        if (transposed_) {
          kernels::PackTransposed(tile.Slice(column, columns), panel);
        } else {
          kernels::PackRows<T, W>({tile.data + column, tile.rows, columns, tile.stride}, panel);
        }
        MultiplyRows(a, panel, columns, sums + block.rows * column, add || k > 0);
      }
    }
  }

 private:
  static constexpr int64_t kScratch = std::max(MatrixTiles::ScratchSize({0, kBlockColumns, 0, kInner<W>}),
                                               MatrixTiles::ScratchSize({0, kInner<W>, 0, kBlockColumns}));

  StridedRows<T> TileOf(const GemmBlock& block, int64_t k, int64_t inner, T* scratch) const {
    return transposed_ ? matrix_->Tile({block.first_column, block.columns, k, inner}, scratch)
                       : matrix_->Tile({k, inner, block.first_column, block.columns}, scratch);
  }

  static void MultiplyRows(const StridedRows<W>& a, const W* panel, int64_t columns, float* sums, bool add) {
    for (int64_t row = 0, count = kRows; row < a.rows; row += count) {
      while (count > a.rows - row) count /= 2;
      ops::Multiply<W>({count, columns, a.columns, a.data + row * a.stride, a.stride, panel, columns,
                        sums + row * columns, columns, add});
    }
  }

  const PackedA<W> a_;
  const std::shared_ptr<const MatrixTiles> matrix_;
  const bool transposed_;
};

}  // namespace

std::unique_ptr<PanelGemm> MakePanelGemm(const Tensor& a_NK, std::shared_ptr<const MatrixTiles> matrix,
                                         bool transposed) {
  const int64_t inner = transposed ? matrix->columns() : matrix->rows();
  FT_CHECK(a_NK.size(1) == inner) << a_NK.sizes() << " times an inner size of " << inner;
  std::unique_ptr<PanelGemm> gemm;
  const Tensor a = a_NK.contiguous();
  WithType(a.scalar_type(), [&](auto left) {
    WithType(matrix->type(), [&](auto right) {
      using L = decltype(left);
      using R = decltype(right);
      if constexpr (std::is_same_v<L, BF16> && std::is_same_v<R, BF16>) {
        // oneDNN's kernels read pairs.
        if (MultipliesBf16() && inner % 2 == 0) {
          gemm =
              std::make_unique<PanelGemmOf<R, BF16>>(PackedA<BF16>(a, left), std::move(matrix), transposed);
          return;
        }
      }
      gemm = std::make_unique<PanelGemmOf<R, float>>(PackedA<float>(a, left), std::move(matrix), transposed);
    });
  });
  return gemm;
}

}  // namespace ft::ops
