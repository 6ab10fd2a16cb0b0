#include "worker/model/decoder/fused_part.h"

#include "core/base/check.h"

namespace ft::model {

torch::Tensor PartOf(const torch::Tensor& whole, const StoredWeight& part) {
  FT_CHECK(part.fused.has_value()) << part.name;
  torch::Tensor matrix = whole.select(0, part.role.expert);
  if (matrix.dim() == 2 && part.fused->inputs_first) matrix = matrix.t();
  return matrix.narrow(0, part.fused->first_row, part.shape[0]);
}

}  // namespace ft::model
