#include "worker/data/jinja/jinja_value.h"

#include <algorithm>
#include <cmath>

namespace ft::data::jinja {

struct Value::ListBody {
  List items;
  Sequence sequence;
  int depth;
  uint64_t weight;
  mutable bool taken = false;  // Of a generator.
};

struct Value::DictBody {
  Dict entries;
  int depth;
  uint64_t weight;
};

namespace {

using Kind = Value::Kind;

constexpr uint64_t kMaxWeight = uint64_t{1} << 40;

uint64_t TextWeight(size_t bytes) { return 1 + bytes / 64; }

Status AddItem(const Value& item, int* depth, uint64_t* weight) {
  if (item.is(Kind::kNamespace) || item.is(Kind::kLoop) || item.is(Kind::kCallable))
    return absl::InvalidArgumentError(StrCat("puts ", item.kind_name(), " into a list or dictionary"));
  *depth = std::max(*depth, item.depth() + 1);
  *weight = std::min(kMaxWeight, *weight + item.weight());
  if (*depth > kMaxValueDepth)
    return absl::InvalidArgumentError(StrCat("nests lists or dictionaries deeper than ", kMaxValueDepth));
  return absl::OkStatus();
}

bool EqualDicts(const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  return std::all_of(a.entries.begin(), a.entries.end(), [&b](const auto& entry) {
    const Value* other = b.Find(entry.first);
    return other != nullptr && AreEqual(entry.second, *other);
  });
}

bool EqualNumbers(const Value& a, const Value& b) {
  if (a.is_whole() && b.is_whole()) return a.whole() == b.whole();
  if (a.is(Kind::kFloat) && b.is(Kind::kFloat)) return a.float_value() == b.float_value();
  const int64_t whole = a.is_whole() ? a.whole() : b.whole();
  const double fraction = a.is_whole() ? b.float_value() : a.float_value();
  return fraction == std::floor(fraction) && std::abs(fraction) < 0x1p63 &&
         static_cast<int64_t>(fraction) == whole;
}

// Generators and views of values are only equal to themselves.
bool EqualLists(const Value& a, const Value& b) {
  if (&a.list() == &b.list()) return true;
  const Sequence sequence = a.sequence();
  if (sequence != b.sequence() || sequence == Sequence::kGenerator || sequence == Sequence::kValues)
    return false;
  return a.list().size() == b.list().size() &&
         std::equal(a.list().begin(), a.list().end(), b.list().begin(), b.list().end(), AreEqual);
}

}  // namespace

StatusOr<Value> Value::FromList(List items, Sequence sequence) {
  int depth = 1;
  uint64_t weight = 1;
  for (const Value& item : items) RETURN_IF_ERROR(AddItem(item, &depth, &weight));
  return Value(std::make_shared<const ListBody>(ListBody{std::move(items), sequence, depth, weight}));
}

StatusOr<Value> Value::FromDict(Dict entries) {
  int depth = 1;
  uint64_t weight = 1;
  for (const auto& [key, value] : entries.entries) {
    RETURN_IF_ERROR(AddItem(value, &depth, &weight));
    weight += TextWeight(key.size());
  }
  return Value(std::make_shared<const DictBody>(DictBody{std::move(entries), depth, weight}));
}

Value Value::NewNamespace() { return Value(std::make_shared<Dict>()); }
Value Value::FromCallable(Callable callable) {
  return Value(std::make_shared<const Callable>(std::move(callable)));
}

const List& Value::list() const { return std::get<std::shared_ptr<const ListBody>>(data_)->items; }
Sequence Value::sequence() const { return std::get<std::shared_ptr<const ListBody>>(data_)->sequence; }
const Dict& Value::dict() const { return std::get<std::shared_ptr<const DictBody>>(data_)->entries; }
Dict* Value::name_space() const { return std::get<std::shared_ptr<Dict>>(data_).get(); }

List Value::Take() const {
  const ListBody& body = *std::get<std::shared_ptr<const ListBody>>(data_);
  if (body.sequence != Sequence::kGenerator) return body.items;
  return std::exchange(body.taken, true) ? List() : body.items;
}

std::string_view Value::undefined_name() const {
  const Undefined& undefined = std::get<Undefined>(data_);
  return undefined.name == nullptr ? std::string_view("a value") : std::string_view(*undefined.name);
}

std::string_view Value::kind_name() const {
  if (is(Kind::kList)) {
    static constexpr std::string_view kSequences[] = {"a list",          "a tuple",        "a range",
                                                      "a view of items", "a view of keys", "a view of values",
                                                      "a generator"};
    return kSequences[static_cast<size_t>(sequence())];
  }
  static constexpr std::string_view kNames[] = {
      "an undefined value", "none",        "a boolean",  "an integer", "a float", "a string", "a list",
      "a dictionary",       "a namespace", "a function", "a loop"};
  return kNames[data_.index()];
}

int Value::depth() const {
  if (is(Kind::kList)) return std::get<std::shared_ptr<const ListBody>>(data_)->depth;
  if (is(Kind::kDict)) return std::get<std::shared_ptr<const DictBody>>(data_)->depth;
  return 0;
}

uint64_t Value::weight() const {
  if (is(Kind::kList)) return std::get<std::shared_ptr<const ListBody>>(data_)->weight;
  if (is(Kind::kDict)) return std::get<std::shared_ptr<const DictBody>>(data_)->weight;
  return is(Kind::kString) ? TextWeight(string().size()) : 1;
}

const Value* Dict::Find(std::string_view key) const {
  for (const auto& entry : entries) {
    if (entry.first == key) return &entry.second;
  }
  return nullptr;
}

void Dict::Set(std::string_view key, Value value) {
  for (auto& entry : entries) {
    if (entry.first == key) {
      entry.second = std::move(value);
      return;
    }
  }
  entries.emplace_back(std::string(key), std::move(value));
}

bool IsTrue(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone: return false;
    case Kind::kBool: return value.bool_value();
    case Kind::kInt: return value.int_value() != 0;
    case Kind::kFloat: return value.float_value() != 0;
    case Kind::kString: return !value.string().empty();
    case Kind::kList: return value.sequence() == Sequence::kGenerator || !value.list().empty();
    case Kind::kDict: return !value.dict().entries.empty();
    case Kind::kNamespace:
    case Kind::kCallable:
    case Kind::kLoop: return true;
  }
  return false;
}

bool AreEqual(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return EqualNumbers(a, b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kString: return a.string() == b.string();
    case Kind::kList: return EqualLists(a, b);
    case Kind::kDict: return &a.dict() == &b.dict() || EqualDicts(a.dict(), b.dict());
    case Kind::kNamespace: return a.name_space() == b.name_space();
    case Kind::kLoop: return a.loop() == b.loop();
    case Kind::kCallable: return &a.callable() == &b.callable();
    default: return true;
  }
}

}  // namespace ft::data::jinja
