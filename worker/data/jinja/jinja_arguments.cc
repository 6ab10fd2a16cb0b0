#include "worker/data/jinja/jinja_arguments.h"

#include "core/base/str_cat.h"

namespace ft::data::jinja {

StatusOr<int64_t> Arguments::Whole(size_t position, std::string_view name, int64_t otherwise) const {
  const Value* given = Get(position, name);
  if (given == nullptr) return otherwise;
  if (given->is_whole()) return given->whole();
  return absl::InvalidArgumentError(
      StrCat("the argument ", name, " must be an integer and is ", given->kind_name()));
}

StatusOr<std::string> Arguments::Text(size_t position, std::string_view name,
                                      std::string_view otherwise) const {
  const Value* given = Get(position, name);
  if (given == nullptr) return std::string(otherwise);
  if (given->is(Value::Kind::kString)) return given->string();
  return absl::InvalidArgumentError(
      StrCat("the argument ", name, " must be a string and is ", given->kind_name()));
}

bool Arguments::Flag(size_t position, std::string_view name, bool otherwise) const {
  const Value* given = Get(position, name);
  return given == nullptr ? otherwise : IsTrue(*given);
}

}  // namespace ft::data::jinja
