#include "worker/data/jinja/jinja_budget.h"

namespace ft::data::jinja {

Status Budget::OutOfSteps() const {
  return absl::ResourceExhaustedError(StrCat("the template takes more than ", limits_.max_steps, " steps"));
}

Status Budget::TooLong() const {
  return absl::ResourceExhaustedError(
      StrCat("the template makes a text longer than ", limits_.max_output_bytes, " bytes"));
}

Status Budget::TooDeep() const {
  return absl::ResourceExhaustedError(
      StrCat("the template's macros and blocks nest deeper than ", limits_.max_nesting));
}

}  // namespace ft::data::jinja
