#include "worker/model/params/read_nf4.h"

#include <span>

#include "worker/model/weights/stored_values.h"

namespace ft::params {

StatusOr<ops::Nf4Tensor> ReadNf4(const weights::TensorSource& source, const weights::TensorInfo& info) {
  ASSIGN_OR_RETURN(const weights::StoredValues values, weights::StoredValues::Read(source, info));
  return ops::QuantiseNf4(info.shape, [&](int64_t first, std::span<float> out) {
    values.Widen(static_cast<uint64_t>(first), out);
  });
}

}  // namespace ft::params
