#include "worker/data/jinja/jinja_filter_call.h"
#include "worker/data/jinja/jinja_filters.h"
#include "worker/data/jinja/jinja_operators.h"
#include "worker/data/jinja/jinja_tests.h"

namespace ft::data::jinja {
namespace {

using Kind = Value::Kind;

// The arguments behind the first `count`, for the filter or test that those name.
Arguments Behind(const Arguments& arguments, size_t count) {
  Arguments rest{.named = arguments.named};
  for (size_t i = count; i < arguments.positional.size(); ++i)
    rest.positional.push_back(arguments.positional[i]);
  return rest;
}

StatusOr<Value> Default(const FilterCall& call) {
  const Value* otherwise = call.arguments.Get(0, "default_value");
  const bool also_false = call.arguments.Flag(1, "boolean", false);
  if (!call.value.is(Kind::kUndefined) && !(also_false && !IsTrue(call.value))) return call.value;
  return otherwise != nullptr ? *otherwise : Value::String("");
}

StatusOr<Value> Attribute(const FilterCall& call) {
  const Value* name = call.arguments.Get(0, "name");
  if (name == nullptr || !name->is(Kind::kString))
    return absl::InvalidArgumentError("attr needs the name of an attribute");
  if (call.value.is(Kind::kUndefined))
    return WrongType(StrCat("asking for ", name->string(), " of"), call.value);
  // Attributes only, no keys.
  if (!call.value.is(Kind::kDict)) return GetAttribute(call.value, name->string());
  ASSIGN_OR_RETURN(const Value empty, Value::FromDict({}));
  ASSIGN_OR_RETURN(const Value method, GetAttribute(empty, name->string()));
  return method.is(Kind::kUndefined) ? method : GetAttribute(call.value, name->string());
}

StatusOr<Value> MapAttribute(const FilterCall& call, const List& items, const Value& attribute) {
  const Value* otherwise = call.arguments.named.Find("default");
  List mapped;
  for (const Value& item : items) {
    RETURN_IF_ERROR(call.budget.Charge(1));
    ASSIGN_OR_RETURN(Value found, GetPath(item, attribute, call.budget));
    if (found.is(Kind::kUndefined) && otherwise != nullptr) found = *otherwise;
    mapped.push_back(std::move(found));
  }
  return Value::FromList(std::move(mapped), Sequence::kGenerator);
}

// map(attribute="name"), map("filter", arguments)
StatusOr<Value> Map(const FilterCall& call) {
  ASSIGN_OR_RETURN(const List items, Items(call.value, call.budget));
  const Value* attribute = call.arguments.named.Find("attribute");
  if (call.arguments.positional.empty() && attribute != nullptr) return MapAttribute(call, items, *attribute);
  if (call.arguments.positional.empty() || !call.arguments.positional[0].is(Kind::kString))
    return absl::InvalidArgumentError("map needs the name of an attribute or a filter");
  const std::string& filter = call.arguments.positional[0].string();
  const Arguments rest = Behind(call.arguments, 1);
  List mapped;
  for (const Value& item : items) {
    RETURN_IF_ERROR(call.budget.Charge(1));
    RETURN_IF_ERROR(call.budget.Enter());
    ASSIGN_OR_RETURN(Value result, ApplyFilter(filter, item, rest, call.budget));
    call.budget.Leave();
    mapped.push_back(std::move(result));
  }
  return Value::FromList(std::move(mapped), Sequence::kGenerator);
}

// select, reject: by a test of the item; selectattr, rejectattr: of an attribute. Without a test by truth.
StatusOr<Value> Select(const FilterCall& call) {
  const bool by_attribute = call.name.ends_with("attr");
  const bool wanted = call.name.starts_with("select");
  const size_t at = by_attribute ? 1 : 0;
  if (by_attribute && call.arguments.positional.empty())
    return absl::InvalidArgumentError(StrCat(call.name, " needs the name of an attribute"));
  const Value* test = call.arguments.positional.size() > at ? &call.arguments.positional[at] : nullptr;
  if (test != nullptr && !test->is(Kind::kString))
    return absl::InvalidArgumentError(StrCat(call.name, " needs the name of a test"));
  const Arguments rest = Behind(call.arguments, at + 1);
  ASSIGN_OR_RETURN(const List items, Items(call.value, call.budget));
  List kept;
  for (const Value& item : items) {
    RETURN_IF_ERROR(call.budget.Charge(1));
    Value subject = item;
    if (by_attribute) {
      ASSIGN_OR_RETURN(subject, GetPath(item, call.arguments.positional[0], call.budget));
    }
    bool holds = IsTrue(subject);
    if (test != nullptr) {
      ASSIGN_OR_RETURN(holds, ApplyTest(test->string(), subject, rest, call.budget));
    }
    if (holds == wanted) kept.push_back(item);
  }
  return Value::FromList(std::move(kept), Sequence::kGenerator);
}

}  // namespace

FilterTable SelectingFilters() {
  return {{"default", Default}, {"d", Default},     {"attr", Attribute},    {"map", Map},
          {"select", Select},   {"reject", Select}, {"selectattr", Select}, {"rejectattr", Select}};
}

}  // namespace ft::data::jinja
