#include "worker/data/jinja/jinja.h"

#include "worker/data/jinja/jinja_eval.h"
#include "worker/data/jinja/jinja_parser.h"
#include "worker/data/jinja/jinja_walk.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::data {

JinjaTemplate::JinjaTemplate(jinja::Body body)
    : body_(std::make_shared<const jinja::Body>(std::move(body))),
      marks_generation_(jinja::HoldsGeneration(*body_)) {}

StatusOr<JinjaTemplate> JinjaTemplate::Parse(std::string_view source) {
  if (tokenizer::FirstInvalidUtf8(source)) return absl::InvalidArgumentError("the template is not UTF-8");
  ASSIGN_OR_RETURN(jinja::Body body, jinja::ParseTemplate(source));
  return JinjaTemplate(std::move(body));
}

StatusOr<JinjaTemplate::Output> JinjaTemplate::Render(const jinja::Dict& variables,
                                                      const JinjaOptions& options) const {
  return jinja::Evaluator(variables, options).Run(*body_);
}

bool JinjaTemplate::Mentions(std::string_view name) const { return jinja::Mentions(*body_, name); }

}  // namespace ft::data
