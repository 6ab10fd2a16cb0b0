// Operators, attribute access, filters, tests, functions and methods of Jinja templates. Errors say what is
// wrong without the line, which the evaluator adds.
#pragma once

#include <string_view>

#include "core/base/status.h"
#include "worker/data/jinja/jinja_eval.h"
#include "worker/data/jinja/jinja_value.h"

namespace ft::data::jinja {

// An attribute or key; undefined when there is none. Asking an undefined value is an error.
StatusOr<Value> GetAttribute(const Value& object, const std::string& name);
StatusOr<Value> GetItem(const Value& object, const Value& index);
// Bounds that are none are left out, as in Python; strings are cut between characters.
StatusOr<Value> GetSlice(const Value& object, const Value& start, const Value& stop, const Value& step);

// + - * // % ~
StatusOr<Value> Combine(std::string_view op, const Value& left, const Value& right);
// == != < > <= >= in, not in
StatusOr<bool> Compare(std::string_view op, const Value& left, const Value& right);

// trim length count upper lower capitalize tojson default d join first last list string int replace reverse
// items map selectattr rejectattr safe
StatusOr<Value> ApplyFilter(std::string_view name, const Value& value, const Arguments& arguments);
// defined undefined none string number integer boolean mapping iterable sequence true false eq equalto == ne
// in divisibleby odd even
StatusOr<bool> ApplyTest(std::string_view name, const Value& value, const Arguments& arguments);
// raise_exception namespace range dict
StatusOr<Value> CallFunction(std::string_view name, const Arguments& arguments);
// Methods of strings: strip lstrip rstrip split startswith endswith upper lower capitalize replace join. Of
// dictionaries: get items keys values.
StatusOr<Value> CallMethod(const Value& object, std::string_view name, const Arguments& arguments);

}  // namespace ft::data::jinja
