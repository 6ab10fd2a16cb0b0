// Operators, and what lies inside a value, by Python's rules and those of Jinja's immutable sandbox. Errors say what is
// wrong without the line, which the evaluator adds.
#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"
#include "worker/data/jinja/jinja_budget.h"
#include "worker/data/jinja/jinja_value.h"

namespace ft::data::jinja {

// "what a list is not supported", or that a value is undefined.
Status WrongType(std::string_view what, const Value& value);

// object.name: a method or attribute first, then a key. Undefined when there is none; asking an undefined value is an error.
StatusOr<Value> GetAttribute(const Value& object, std::string_view name);
// object[index]: a key or element first, then a method or attribute.
StatusOr<Value> GetItem(const Value& object, const Value& index, Budget& budget);
// Bounds that are none are left out, as in Python; strings are cut between characters.
struct SliceBounds {
  Value start = Value::None(), stop = Value::None(), step = Value::None();
};
StatusOr<Value> GetSlice(const Value& object, const SliceBounds& bounds, Budget& budget);

// "+", "-", "*", "/", "//", "%", "**", "~"
StatusOr<Value> Combine(std::string_view op, const Value& left, const Value& right, Budget& budget);
// "-" or "+" before a number.
StatusOr<Value> Signed(std::string_view op, const Value& operand);
// "==", "!=", "<", ">", "<=", ">=", "in", "not in"
StatusOr<bool> Compare(std::string_view op, const Value& left, const Value& right, Budget& budget);
// Less than 0, 0 or more than 0. INVALID_ARGUMENT for values that have no order.
StatusOr<int> Order(const Value& left, const Value& right, Budget& budget);

// len(value)
StatusOr<int64_t> Length(const Value& value, Budget& budget);
// What a for or a filter goes over: items, keys, characters; nothing of an undefined value.
StatusOr<List> Items(const Value& value, Budget& budget);

}  // namespace ft::data::jinja
