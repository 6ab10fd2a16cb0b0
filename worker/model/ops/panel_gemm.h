// One term of a fused GEMM (fused_gemm.h), a block of its columns and rows at a time: a panel of the matrix
// is packed once and multiplied by all rows of the block.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>

#include "worker/model/ops/matrix_tiles.h"

namespace ft::ops {

// Columns of a panel: few enough to divide the narrowest layers of a model among threads, and for the panel
// to stay in the core's first cache; enough for the processor's dot products.
inline constexpr int64_t kPanelColumns = 32;

// Panels of a block: as many as divide a cache line of 4-bit codes, which lie side by side in the matrix's
// rows.
inline constexpr int64_t kBlockColumns = 4 * kPanelColumns;

// A block of the result. columns is at most kBlockColumns.
struct GemmBlock {
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t first_column = 0;
  int64_t columns = 0;
};

class PanelGemm {
 public:
  virtual ~PanelGemm() = default;
  // sums (+)= the block of a b, panel by panel: block.rows x kPanelColumns each, the last maybe narrower, one
  // behind the other. `memory` holds kWorkingBytes, aligned to 64 bytes. The same bits however the result is
  // divided into blocks. Thread-safe.
  virtual void Multiply(const GemmBlock& block, float* sums, bool add, std::byte* memory) const = 0;

  static constexpr int64_t kWorkingBytes = 256 << 10;
};

// a_NK times the matrix, K x C, or times the transpose of a C x K one. a and the matrix are float32 or
// bfloat16; where one is float32, both are multiplied as such, and so they are on a CPU that does not
// multiply bfloat16: products of bfloat16 are exact in float32.
std::unique_ptr<PanelGemm> MakePanelGemm(const torch::Tensor& a_NK, std::shared_ptr<const MatrixTiles> matrix,
                                         bool transposed);

}  // namespace ft::ops
