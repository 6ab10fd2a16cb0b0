#include "worker/model/ops/joined_rows.h"

#include "core/base/check.h"

namespace ft::ops {
namespace {

using torch::Tensor;

constexpr int64_t kAlignment = 8;

}  // namespace

int64_t PaddedInner(int64_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

int64_t RoomFor(int64_t columns, int64_t ranks, at::Device device) {
  return device.is_cpu() || ranks == 0 ? 0 : PaddedInner(columns + ranks) - columns;
}

Tensor RowsWithRoom(int64_t rows, int64_t columns, int64_t room, const at::TensorOptions& options) {
  const torch::NoGradGuard no_grad;
  const Tensor whole = torch::empty({rows, columns + room}, options);
  return room == 0 ? whole : whole.narrow(1, 0, columns).variable_data();
}

Tensor WithRoom(const Tensor& rows_NC, int64_t room) {
  FT_CHECK(rows_NC.dim() == 2);
  const int64_t rows = rows_NC.size(0), columns = rows_NC.size(1), stride = rows_NC.stride(0);
  if (rows_NC.stride(1) != 1 || stride < columns + room) return {};
  const auto bytes = static_cast<int64_t>(rows_NC.storage().nbytes());
  if (bytes < (rows_NC.storage_offset() + rows * stride) * rows_NC.element_size()) return {};
  const torch::NoGradGuard no_grad;
  return rows_NC.variable_data().as_strided({rows, columns + room}, {stride, 1}, rows_NC.storage_offset());
}

}  // namespace ft::ops
