#include "worker/model/ops/sum_of_products.h"

#include <algorithm>
#include <utility>

#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/panel_product.h"
#include "worker/model/ops/thread_arena.h"

namespace ft::ops {
namespace {

using torch::Tensor;

// Rows that share packed panels: as many as leave the sums in the core's second cache.
constexpr int64_t kSharedRows = 512;
// Rows of the smallest task.
constexpr int64_t kFewRows = 64;

int64_t Rows(const SumOfProducts& sum) { return sum.products[0].a_NK.size(0); }

int64_t Columns(const SumOfProducts& sum) {
  const Product& first = sum.products[0];
  const at::IntArrayRef shape =
      first.weight == nullptr ? first.matrix.sizes() : at::IntArrayRef(first.weight->shape());
  return shape[first.transposed ? 0 : 1];
}

std::shared_ptr<const MatrixParts> PartsOf(const Product& product) {
  if (product.weight != nullptr) return product.weight->Parts(product.a_NK.scalar_type());
  return std::make_shared<TensorParts>(product.matrix.contiguous());
}

// A sum with its operands at hand.
struct Prepared {
  const SumOfProducts* sum = nullptr;
  std::vector<std::unique_ptr<PanelProduct>> products;
  Tensor bias_C;
  Tensor out_NC;
};

Prepared Prepare(const SumOfProducts& sum) {
  Prepared prepared{.sum = &sum};
  for (const Product& product : sum.products) {
    prepared.products.push_back(MakePanelProduct(product.a_NK, PartsOf(product), product.transposed));
  }
  if (sum.bias_C.defined()) prepared.bias_C = sum.bias_C.contiguous();
  prepared.out_NC = sum.in_place ? sum.start_NC : torch::empty({Rows(sum), Columns(sum)}, sum.type);
  return prepared;
}

struct Task {
  const Prepared* prepared = nullptr;
  SumBlock block;
};

int64_t Pieces(int64_t whole, int64_t piece) { return (whole + piece - 1) / piece; }

// Blocks of columns, and where they are few, single panels, and parts of the rows: enough tasks for all threads. The
// division does not change a result.
void AddTasks(const Prepared& prepared, std::vector<Task>& tasks) {
  const int64_t rows = prepared.out_NC.size(0), columns = prepared.out_NC.size(1);
  const int64_t enough = 4 * at::get_num_threads();
  const int64_t width = Pieces(columns, kBlockColumns) >= enough ? kBlockColumns : kPanelColumns;
  const int64_t parts = Pieces(enough, Pieces(columns, width));
  const int64_t height = std::clamp(Pieces(rows / parts, kFewRows) * kFewRows, kFewRows, kSharedRows);
  for (int64_t row = 0; row < rows; row += height) {
    for (int64_t column = 0; column < columns; column += width) {
      tasks.push_back({&prepared, {row, std::min(height, rows - row), column, std::min(width, columns - column)}});
    }
  }
}

void Run(const Task& task) {
  const auto& [sum, products, bias_C, out_NC] = *task.prepared;
  const SumBlock& block = task.block;
  ThreadArena& arena = ThreadArena::Of(ThreadArena::Piece<float>(kSharedRows * kBlockColumns) +
                                       ThreadArena::Piece<std::byte>(PanelProduct::kWorkingBytes));
  float* sums = arena.Take<float>(kSharedRows * kBlockColumns);
  std::byte* memory = arena.Take<std::byte>(PanelProduct::kWorkingBytes);
  for (size_t i = 0; i < products.size(); ++i) products[i]->Multiply(block, sums, i > 0, memory);
  const int64_t stride = out_NC.size(1);
  WithType(out_NC.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for (int64_t panel = 0; panel < block.columns; panel += kPanelColumns) {
      const int64_t columns = std::min(kPanelColumns, block.columns - panel);
      const int64_t column = block.first_column + panel, at = block.first_row * stride + column;
      kernels::StoreSums<T>({sums + block.rows * panel, block.rows, columns, columns},
                            {.scale = sum->scale,
                             .bias = bias_C.defined() ? Data<float>(bias_C) + column : nullptr,
                             .start = sum->start_NC.defined() ? Data<float>(sum->start_NC) + at : nullptr,
                             .out = MutableData<T>(out_NC) + at,
                             .stride = stride});
    }
  });
}

// On devices that have products of their own.
Tensor ByLibTorch(const SumOfProducts& sum) {
  Tensor total_NC;
  for (const Product& product : sum.products) {
    const at::ScalarType type = product.a_NK.scalar_type();
    const Tensor matrix =
        product.weight == nullptr ? product.matrix.to(type) : product.weight->Materialise(type);
    const Tensor part_NC = at::mm(product.a_NK, product.transposed ? matrix.t() : matrix).to(at::kFloat);
    total_NC = total_NC.defined() ? total_NC.add_(part_NC) : part_NC;
  }
  if (sum.scale != 1) total_NC.mul_(sum.scale);
  if (sum.start_NC.defined()) total_NC.add_(sum.start_NC);
  if (sum.bias_C.defined()) total_NC.add_(sum.bias_C);
  return sum.in_place ? sum.start_NC.copy_(total_NC) : total_NC.to(sum.type);
}

}  // namespace

std::vector<Tensor> Compute(const std::vector<SumOfProducts>& sums) {
  torch::NoGradGuard no_grad;
  std::vector<Tensor> results;
  std::vector<Prepared> prepared;
  for (const SumOfProducts& sum : sums) {
    if (!sum.products[0].a_NK.is_cpu()) {
      results.push_back(ByLibTorch(sum));
    } else {
      prepared.push_back(Prepare(sum));
      results.push_back(prepared.back().out_NC);
    }
  }
  std::vector<Task> tasks;
  for (const Prepared& each : prepared) AddTasks(each, tasks);
  at::parallel_for(0, static_cast<int64_t>(tasks.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) Run(tasks[static_cast<size_t>(i)]);
  });
  return results;
}

Tensor Compute(const SumOfProducts& sum) { return Compute(std::vector<SumOfProducts>{sum})[0]; }

}  // namespace ft::ops
