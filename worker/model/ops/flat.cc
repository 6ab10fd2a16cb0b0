#include "worker/model/ops/flat.h"

#include "core/base/check.h"
#include "worker/device/staging.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/kernel_table.h"

namespace ft::ops {
namespace {

using torch::Tensor;

static_assert(kSquaresBlock == kernels::kSquaresBlock);
static_assert(kLeafValues * sizeof(float) == kernels::kLeafBytes);
static_assert(sizeof(kernels::Leaf) == 2 * sizeof(int64_t));

}  // namespace

Tensor SumsOfSquares(const Tensor& values_N) {
  const int64_t count = values_N.numel();
  Tensor sums = torch::empty({kernels::SquaresBlocks(count)}, values_N.options());
  Launch(values_N, &KernelTable::sums_of_squares, {Data<float>(values_N), count, MutableData<float>(sums)});
  return sums;
}

void TreeAdd(const Tensor& rows_KN, const Tensor& sum_N) {
  const int64_t count = rows_KN.size(0), columns = rows_KN.size(1);
  FT_CHECK(count >= 1 && count <= kernels::kTreeAddMost && sum_N.numel() == columns);
  Launch(sum_N, &KernelTable::tree_add,
         {Data<float>(rows_KN), static_cast<int>(count), columns, MutableData<float>(sum_N)});
}

Leaves::Leaves(const std::vector<std::pair<int64_t, int64_t>>& begins_and_counts, at::Device device) {
  Tensor table = torch::empty({static_cast<int64_t>(begins_and_counts.size()), 2}, torch::kInt64);
  int64_t* row = MutableData<int64_t>(table);
  for (const auto& [begin, count] : begins_and_counts) {
    FT_CHECK(begin >= 0 && count >= 0 && count <= kLeafValues);
    *row++ = begin * static_cast<int64_t>(sizeof(float));
    *row++ = count * static_cast<int64_t>(sizeof(float));
  }
  table_ = device::Upload(table, device);
}

Tensor Leaves::Digests(const Tensor& values_N) const {
  FT_CHECK(values_N.scalar_type() == at::kFloat && values_N.device() == table_.device());
  Tensor digests = torch::empty({size(), kernels::kDigestBytes}, table_.options().dtype(torch::kUInt8));
  Launch(values_N, &KernelTable::sha256,
         {static_cast<const uint8_t*>(values_N.const_data_ptr()),
          static_cast<const kernels::Leaf*>(table_.const_data_ptr()), size(), MutableData<uint8_t>(digests)});
  return digests;
}

}  // namespace ft::ops
