// What a filter, test, method or macro was given.
#pragma once

#include <string_view>

#include "core/base/status.h"
#include "worker/data/jinja/jinja_value.h"

namespace ft::data::jinja {

struct Arguments {
  List positional;
  Dict named;

  // The argument at a position or under a name; nullptr when neither was given.
  const Value* Get(size_t position, std::string_view name) const {
    return position < positional.size() ? &positional[position] : named.Find(name);
  }
  bool Has(size_t position, std::string_view name) const { return Get(position, name) != nullptr; }
  // As Get, with a value where none was given. INVALID_ARGUMENT for one of another kind.
  StatusOr<int64_t> Whole(size_t position, std::string_view name, int64_t otherwise) const;
  StatusOr<std::string> Text(size_t position, std::string_view name, std::string_view otherwise) const;
  bool Flag(size_t position, std::string_view name, bool otherwise) const;
};

}  // namespace ft::data::jinja
