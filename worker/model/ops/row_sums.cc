#include "worker/model/ops/row_sums.h"

#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/kernel_table.h"

namespace ft::ops {

using torch::Tensor;

Tensor SumRows(const Tensor& values_NC) {
  const int64_t rows = values_NC.size(0), channels = values_NC.size(1);
  Tensor sum = torch::empty({channels}, values_NC.options().dtype(torch::kFloat));
  WithType(values_NC.scalar_type(), [&](auto type) {
    using T = decltype(type);
    Launch(values_NC, &KernelsOf<T>::column_sum,
           {rows, channels, Data<T>(values_NC), MutableData<float>(sum)});
  });
  return sum;
}

}  // namespace ft::ops
