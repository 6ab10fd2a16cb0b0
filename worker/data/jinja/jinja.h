// A bounded evaluator of Jinja as Hugging Face runs it for chat templates: Jinja2 3.1's immutable sandbox with trim_blocks,
// lstrip_blocks, loop controls, {% generation %}, its tojson, raise_exception and strftime_now. No code is run, nothing
// outside the given values can be reached, and steps, depth and output have limits. docs/chat-templates.md lists what is
// supported; all else is refused by name and line.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "worker/data/jinja/jinja_ast.h"
#include "worker/data/jinja/jinja_budget.h"

namespace ft::data {

// Bytes [begin, end) of the output.
struct OutputRange {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const OutputRange&) const = default;
};

struct JinjaOptions {
  JinjaLimits limits;
  // What strftime_now() formats; without it the template finds no strftime_now and takes the date that it has for that.
  std::optional<std::tm> now;
};

// Immutable and thread-safe.
class JinjaTemplate {
 public:
  struct Output {
    std::string text;
    std::vector<OutputRange> generated;  // What {% generation %} blocks printed, in the order of their ends.
    std::vector<std::string>
        undefined;  // Names that {{ }} printed as nothing because there is no such variable.
  };
  // INVALID_ARGUMENT: "line N: ...".
  static StatusOr<JinjaTemplate> Parse(std::string_view source);
  // INVALID_ARGUMENT also for raise_exception(); RESOURCE_EXHAUSTED beyond a limit. Both name the line.
  StatusOr<Output> Render(const jinja::Dict& variables, const JinjaOptions& options = {}) const;
  bool marks_generation() const { return marks_generation_; }
  // Whether an expression asks for this name, attribute or key.
  bool Mentions(std::string_view name) const;

 private:
  explicit JinjaTemplate(jinja::Body body);
  std::shared_ptr<const jinja::Body> body_;
  bool marks_generation_ = false;
};

}  // namespace ft::data
