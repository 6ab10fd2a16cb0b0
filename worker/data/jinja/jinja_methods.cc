#include "worker/data/jinja/jinja_methods.h"

#include <algorithm>
#include <array>
#include <utility>

#include "worker/data/jinja/jinja_operators.h"
#include "worker/data/jinja/jinja_string_methods.h"

namespace ft::data::jinja {
namespace {

using Kind = Value::Kind;

constexpr std::array<std::string_view, 5> kDictMethods = {"get", "items", "keys", "values", "copy"};
constexpr std::array<std::string_view, 3> kListMethods = {"count", "index", "copy"};
constexpr std::array<std::string_view, 2> kLoopMethods = {"cycle", "changed"};

template <size_t N>
bool IsOne(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Status Fail(std::string text) { return absl::InvalidArgumentError(std::move(text)); }

StatusOr<Value> GetKey(const Dict& dict, const Arguments& arguments) {
  if (arguments.positional.empty() || arguments.positional.size() > 2 || !arguments.named.entries.empty())
    return Fail("get takes a key and a value for when it is not there");
  const Value& key = arguments.positional[0];
  if (key.is(Kind::kList) || key.is(Kind::kDict)) return WrongType("looking among keys for", key);
  const Value* found = key.is(Kind::kString) ? dict.Find(key.string()) : nullptr;
  if (found != nullptr) return *found;
  return arguments.positional.size() > 1 ? arguments.positional[1] : Value::None();
}

StatusOr<Value> CallDictMethod(const Value& object, std::string_view name, const Arguments& arguments) {
  const Dict& dict = object.dict();
  if (name == "get") return GetKey(dict, arguments);
  if (name == "copy") return object;
  List items;
  for (const auto& [key, value] : dict.entries) {
    if (name == "keys") items.push_back(Value::String(key));
    if (name == "values") items.push_back(value);
    if (name != "items") continue;
    ASSIGN_OR_RETURN(Value pair, Value::FromList({Value::String(key), value}, Sequence::kTuple));
    items.push_back(std::move(pair));
  }
  return Value::FromList(std::move(items), name == "keys"     ? Sequence::kKeys
                                           : name == "values" ? Sequence::kValues
                                                              : Sequence::kItems);
}

StatusOr<Value> CallListMethod(const Value& object, std::string_view name, const Arguments& arguments,
                               Budget& budget) {
  if (name == "copy") return object;
  const Value* wanted = arguments.Get(0, "value");
  if (wanted == nullptr) return Fail(StrCat(name, " lacks an argument"));
  int64_t count = 0, first = -1;
  for (size_t i = 0; i < object.list().size(); ++i) {
    RETURN_IF_ERROR(budget.Charge(std::min(object.list()[i].weight(), wanted->weight())));
    if (!AreEqual(object.list()[i], *wanted)) continue;
    ++count;
    if (first < 0) first = static_cast<int64_t>(i);
  }
  if (name == "count") return Value::Int(count);
  if (first < 0) return Fail("index does not find its value");
  return Value::Int(first);
}

StatusOr<Value> CallLoopMethod(Loop& loop, std::string_view name, const Arguments& arguments,
                               Budget& budget) {
  if (name == "cycle") {
    if (arguments.positional.empty()) return Fail("cycle needs items");
    return arguments.positional[loop.index % arguments.positional.size()];
  }
  // Checks too that the loop is not among what it keeps.
  ASSIGN_OR_RETURN(const Value now, Value::FromList(arguments.positional));
  ASSIGN_OR_RETURN(const Value before, Value::FromList(loop.last_changed));
  RETURN_IF_ERROR(budget.Charge(std::min(now.weight(), before.weight())));
  if (loop.has_changed && AreEqual(now, before)) return Value::Bool(false);
  loop.has_changed = true;
  loop.last_changed = arguments.positional;
  return Value::Bool(true);
}

}  // namespace

bool HasMethod(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kString: return IsStringMethod(name);
    case Kind::kDict: return IsOne(kDictMethods, name);
    case Kind::kLoop: return IsOne(kLoopMethods, name);
    case Kind::kList:
      return object.sequence() == Sequence::kList
                 ? IsOne(kListMethods, name)
                 : object.sequence() == Sequence::kTuple && name != "copy" && IsOne(kListMethods, name);
    default: return false;
  }
}

StatusOr<Value> CallMethod(const Value& object, std::string_view name, const Arguments& arguments,
                           Budget& budget) {
  if (object.is(Kind::kString)) return CallStringMethod(object, name, arguments, budget);
  if (object.is(Kind::kLoop)) return CallLoopMethod(*object.loop(), name, arguments, budget);
  if (object.is(Kind::kList)) return CallListMethod(object, name, arguments, budget);
  if (name != "get") RETURN_IF_ERROR(budget.Charge(1 + object.dict().entries.size()));
  return CallDictMethod(object, name, arguments);
}

}  // namespace ft::data::jinja
