#include "worker/model/weights/stored_values.h"

#include "core/base/check.h"

namespace ft::weights {

StatusOr<StoredValues> StoredValues::Read(const TensorSource& source, const TensorInfo& info) {
  ASSIGN_OR_RETURN(const Expander expand, ExpanderOf(info));
  ASSIGN_OR_RETURN(const uint64_t bytes, StoredBytes(info.dtype, info.elements()));
  StoredValues values(info, expand);
  values.bytes_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
  RETURN_IF_ERROR(source.ReadBytes(info, {values.bytes_.get(), bytes}));
  return values;
}

void StoredValues::Widen(uint64_t first, std::span<float> out) const {
  FT_CHECK(first <= elements_ && out.size() <= elements_ - first && first % unit_.values == 0 &&
           out.size() % unit_.values == 0)
      << first << " and " << out.size() << " of " << elements_;
  expand_(bytes_.get() + first / unit_.values * unit_.bytes, out.size(), out.data());
}

}  // namespace ft::weights
