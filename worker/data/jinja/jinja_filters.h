// The filters of Jinja, and tojson as Hugging Face defines it.
#pragma once

#include <string_view>

#include "core/base/status.h"
#include "worker/data/jinja/jinja_arguments.h"
#include "worker/data/jinja/jinja_budget.h"
#include "worker/data/jinja/jinja_value.h"

namespace ft::data::jinja {

// INVALID_ARGUMENT for an unknown name and for what the filter cannot take, without the line.
//
// abs attr batch capitalize center count d default dictsort e escape first float indent int items join last length list
// lower map max min reject rejectattr replace reverse round safe select selectattr sort string sum title tojson trim unique
// upper
StatusOr<Value> ApplyFilter(std::string_view name, const Value& value, const Arguments& arguments,
                            Budget& budget);

// The attribute, key or element that "a.b.0" names, as filters take it.
StatusOr<Value> GetPath(const Value& object, const Value& path, Budget& budget);

}  // namespace ft::data::jinja
