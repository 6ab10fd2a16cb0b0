#include "worker/data/jinja/jinja.h"

#include <algorithm>

#include "worker/data/jinja/jinja_eval.h"
#include "worker/data/jinja/jinja_parser.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::data {
namespace {

bool HoldsGeneration(const jinja::Body& body) {
  return std::any_of(body.begin(), body.end(), [](const jinja::Statement& statement) {
    return statement.kind == jinja::Statement::Kind::kGeneration || HoldsGeneration(statement.body) ||
           HoldsGeneration(statement.other) ||
           std::any_of(statement.branches.begin(), statement.branches.end(),
                       [](const jinja::Statement::Branch& branch) { return HoldsGeneration(branch.body); });
  });
}

}  // namespace

JinjaTemplate::JinjaTemplate(jinja::Body body)
    : body_(std::make_shared<const jinja::Body>(std::move(body))),
      marks_generation_(HoldsGeneration(*body_)) {}

StatusOr<JinjaTemplate> JinjaTemplate::Parse(std::string_view source) {
  if (tokenizer::FirstInvalidUtf8(source)) return absl::InvalidArgumentError("the template is not UTF-8");
  ASSIGN_OR_RETURN(jinja::Body body, jinja::ParseTemplate(source));
  return JinjaTemplate(std::move(body));
}

StatusOr<JinjaTemplate::Output> JinjaTemplate::Render(const jinja::Dict& variables,
                                                      const JinjaLimits& limits) const {
  return jinja::Evaluator(variables, limits).Run(*body_);
}

}  // namespace ft::data
