#include "worker/data/jinja/jinja_walk.h"

#include <algorithm>

namespace ft::data::jinja {
namespace {

bool Mentions(const Expr* expr, std::string_view name) {
  if (expr == nullptr) return false;
  const bool asks = expr->kind == Expr::Kind::kName || expr->kind == Expr::Kind::kAttribute;
  if (asks && expr->name == name) return true;
  const bool is_text = expr->kind == Expr::Kind::kLiteral && expr->value.is(Value::Kind::kString);
  if (is_text && expr->value.string() == name) return true;
  return std::any_of(expr->children.begin(), expr->children.end(),
                     [&](const auto& child) { return Mentions(child.get(), name); }) ||
         std::any_of(expr->named.begin(), expr->named.end(),
                     [&](const auto& argument) { return Mentions(argument.second.get(), name); });
}

bool Mentions(const Statement& statement, std::string_view name) {
  return Mentions(statement.expr.get(), name) || Mentions(statement.condition.get(), name) ||
         jinja::Mentions(statement.body, name) || jinja::Mentions(statement.other, name) ||
         std::any_of(statement.branches.begin(), statement.branches.end(),
                     [&](const Statement::Branch& branch) {
                       return Mentions(branch.condition.get(), name) || jinja::Mentions(branch.body, name);
                     }) ||
         std::any_of(statement.parameters.begin(), statement.parameters.end(),
                     [&](const Parameter& parameter) { return Mentions(parameter.value.get(), name); });
}

}  // namespace

bool HoldsGeneration(const Body& body) {
  return std::any_of(body.begin(), body.end(), [](const Statement& statement) {
    return statement.kind == Statement::Kind::kGeneration || HoldsGeneration(statement.body) ||
           HoldsGeneration(statement.other) ||
           std::any_of(statement.branches.begin(), statement.branches.end(),
                       [](const Statement::Branch& branch) { return HoldsGeneration(branch.body); });
  });
}

bool Mentions(const Body& body, std::string_view name) {
  return std::any_of(body.begin(), body.end(),
                     [&](const Statement& statement) { return Mentions(statement, name); });
}

}  // namespace ft::data::jinja
