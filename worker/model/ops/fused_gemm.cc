#include "worker/model/ops/fused_gemm.h"

#include <algorithm>
#include <utility>

#include "worker/model/ops/joined_gemm.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/panel_gemm.h"
#include "worker/model/ops/row_gemm.h"
#include "worker/model/ops/thread_arena.h"

namespace ft::ops {
namespace {

using torch::Tensor;

// Rows that share packed panels: as many as leave the sums in the core's second cache.
constexpr int64_t kSharedRows = 512;
// Rows of the smallest task.
constexpr int64_t kFewRows = 64;

int64_t Rows(const FusedGemm& gemm) { return gemm.terms[0].a_NK.size(0); }

int64_t Columns(const FusedGemm& gemm) {
  const GemmTerm& first = gemm.terms[0];
  const at::IntArrayRef shape =
      first.weight == nullptr ? first.matrix.sizes() : at::IntArrayRef(first.weight->shape());
  return shape[first.transposed ? 0 : 1];
}

std::shared_ptr<const MatrixTiles> TilesOf(const GemmTerm& term) {
  if (term.weight != nullptr) return term.weight->Tiles(term.a_NK.scalar_type());
  return std::make_shared<TensorTiles>(term.matrix.contiguous());
}

std::unique_ptr<PanelGemm> GemmOf(const GemmTerm& term) {
  if (FewRowsScope::Active() && term.weight != nullptr && term.transposed) {
    if (std::unique_ptr<PanelGemm> gemm = MakeRowGemm(term.a_NK, *term.weight)) return gemm;
  }
  return MakePanelGemm(term.a_NK, TilesOf(term), term.transposed);
}

// A fused GEMM with its operands at hand.
struct Prepared {
  const FusedGemm* gemm = nullptr;
  std::vector<std::unique_ptr<PanelGemm>> gemms;
  Tensor bias_C;
  Tensor out_NC;
};

Prepared Prepare(const FusedGemm& gemm) {
  Prepared prepared{.gemm = &gemm};
  for (const GemmTerm& term : gemm.terms) prepared.gemms.push_back(GemmOf(term));
  if (gemm.bias_C.defined()) prepared.bias_C = gemm.bias_C.contiguous();
  prepared.out_NC = gemm.in_place ? gemm.start_NC : torch::empty({Rows(gemm), Columns(gemm)}, gemm.type);
  return prepared;
}

struct Task {
  const Prepared* prepared = nullptr;
  GemmBlock block;
};

int64_t Pieces(int64_t whole, int64_t piece) { return (whole + piece - 1) / piece; }

// Tasks are blocks of columns, or single panels where blocks are few, and ranges of rows: enough for all
// threads. The division does not change a result.
void AddTasks(const Prepared& prepared, std::vector<Task>& tasks) {
  const int64_t rows = prepared.out_NC.size(0), columns = prepared.out_NC.size(1);
  const int64_t enough = 4 * at::get_num_threads();
  const int64_t width = Pieces(columns, kBlockColumns) >= enough ? kBlockColumns : kPanelColumns;
  const int64_t ranges = Pieces(enough, Pieces(columns, width));
  const int64_t height = std::clamp(Pieces(rows / ranges, kFewRows) * kFewRows, kFewRows, kSharedRows);
  for (int64_t row = 0; row < rows; row += height) {
    for (int64_t column = 0; column < columns; column += width) {
      tasks.push_back(
          {&prepared, {row, std::min(height, rows - row), column, std::min(width, columns - column)}});
    }
  }
}

void Run(const Task& task) {
  const auto& [gemm, gemms, bias_C, out_NC] = *task.prepared;
  const GemmBlock& block = task.block;
  ThreadArena& arena = ThreadArena::Of(ThreadArena::Piece<float>(kSharedRows * kBlockColumns) +
                                       ThreadArena::Piece<std::byte>(PanelGemm::kWorkingBytes));
  float* sums = arena.Take<float>(kSharedRows * kBlockColumns);
  std::byte* memory = arena.Take<std::byte>(PanelGemm::kWorkingBytes);
  for (size_t i = 0; i < gemms.size(); ++i) gemms[i]->Multiply(block, sums, i > 0, memory);
  const int64_t stride = out_NC.size(1);
  WithType(out_NC.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for (int64_t panel = 0; panel < block.columns; panel += kPanelColumns) {
      const int64_t columns = std::min(kPanelColumns, block.columns - panel);
      const int64_t column = block.first_column + panel, at = block.first_row * stride + column;
      kernels::StoreSums<T>({sums + block.rows * panel, block.rows, columns, columns},
                            {.scale = gemm->scale,
                             .bias = bias_C.defined() ? Data<float>(bias_C) + column : nullptr,
                             .start = gemm->start_NC.defined() ? Data<float>(gemm->start_NC) + at : nullptr,
                             .out = MutableData<T>(out_NC) + at,
                             .stride = stride});
    }
  });
}

}  // namespace

std::vector<Tensor> Compute(const std::vector<FusedGemm>& gemms, ResultRows rows) {
  torch::NoGradGuard no_grad;
  if (!gemms.empty() && !gemms[0].terms[0].a_NK.is_cpu()) return ComputeJoined(gemms, rows);
  std::vector<Tensor> results;
  std::vector<Prepared> prepared;
  for (const FusedGemm& gemm : gemms) {
    prepared.push_back(Prepare(gemm));
    results.push_back(prepared.back().out_NC);
  }
  std::vector<Task> tasks;
  for (const Prepared& each : prepared) AddTasks(each, tasks);
  at::parallel_for(0, static_cast<int64_t>(tasks.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) Run(tasks[static_cast<size_t>(i)]);
  });
  return results;
}

Tensor Compute(const FusedGemm& gemm) { return Compute(std::vector<FusedGemm>{gemm})[0]; }

}  // namespace ft::ops
