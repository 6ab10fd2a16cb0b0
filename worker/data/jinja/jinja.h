// A bounded evaluator of the part of Jinja that chat templates use. No code is run, nothing outside the given
// values can be reached, and steps, depth and output have limits.
//
// Supported: text, {{ }}, {# #}, for (with loop, unpacking, if, else, break, continue), if, set (also of
// namespace attributes and blocks), generation blocks; strings, integers, booleans, none, lists,
// dictionaries; attributes, [] with slices, calls of the methods and functions below; + - * // % ~,
// comparisons, in, and, or, not, a if b else c; filters and tests of jinja_filters.h; namespace(), range(),
// dict(), raise_exception(). White space as with trim_blocks and lstrip_blocks. All else is refused by name
// and line. strftime_now is not defined: a template that asks for it takes its fixed date, and one that calls
// it all the same is refused, since training data must not depend on the day.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "worker/data/jinja/jinja_ast.h"

namespace ft::data {

struct JinjaLimits {
  int64_t max_steps = 20'000'000;  // Expressions and statements, and 64 bytes of text each count as one.
  size_t max_output_bytes = size_t{64} << 20;  // Also of each string on the way.
};

// Bytes [begin, end) of the output.
struct OutputRange {
  size_t begin = 0;
  size_t end = 0;
  int line = 0;  // Line of the expression in the template.
  bool operator==(const OutputRange&) const = default;
};

// Immutable and thread-safe.
class JinjaTemplate {
 public:
  struct Output {
    std::string text;
    std::vector<OutputRange> expressions;  // What each {{ }} printed, in order; literal text lies between.
    std::vector<OutputRange> generated;    // What {% generation %} blocks printed.
  };
  // INVALID_ARGUMENT: "line N: ...".
  static StatusOr<JinjaTemplate> Parse(std::string_view source);
  // INVALID_ARGUMENT also for raise_exception(); RESOURCE_EXHAUSTED beyond a limit. Both name the line.
  StatusOr<Output> Render(const jinja::Dict& variables, const JinjaLimits& limits = {}) const;
  bool marks_generation() const { return marks_generation_; }

 private:
  explicit JinjaTemplate(jinja::Body body);
  std::shared_ptr<const jinja::Body> body_;
  bool marks_generation_ = false;
};

}  // namespace ft::data
