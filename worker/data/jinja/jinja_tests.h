// The tests behind `is`.
#pragma once

#include <string_view>

#include "core/base/status.h"
#include "worker/data/jinja/jinja_arguments.h"
#include "worker/data/jinja/jinja_budget.h"
#include "worker/data/jinja/jinja_value.h"

namespace ft::data::jinja {

// INVALID_ARGUMENT for an unknown name and for a missing argument, without the line.
//
// boolean callable defined divisibleby eq equalto == escaped even false float ge >= gt greaterthan > in integer iterable le
// <= lower lt lessthan < mapping ne != none number odd sameas sequence string true undefined upper
StatusOr<bool> ApplyTest(std::string_view name, const Value& value, const Arguments& arguments,
                         Budget& budget);

}  // namespace ft::data::jinja
