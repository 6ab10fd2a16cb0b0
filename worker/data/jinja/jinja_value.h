// The values that a Jinja template works on, with Python's rules for truth, equality and printing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/status.h"

namespace ft::data::jinja {

class Value;
struct Dict;
using List = std::vector<Value>;

// Lists and dictionaries may nest this deep; deeper ones are refused where they would be made.
inline constexpr int kMaxValueDepth = 64;
// No string or list on the way may grow beyond these.
inline constexpr size_t kMaxStringBytes = size_t{64} << 20;
inline constexpr size_t kMaxListItems = 1'000'000;

// Cheap to copy: strings, lists and dictionaries are shared and never change. A namespace is shared and does
// change.
class Value {
 public:
  enum class Kind { kUndefined, kNone, kBool, kInt, kString, kList, kDict, kNamespace };

  Value() : data_(Undefined{}) {}
  static Value MakeUndefined(std::string name) { return Value(Undefined{std::move(name)}); }
  static Value None() { return Value(NoneTag{}); }
  static Value Bool(bool value) { return Value(value); }
  static Value Int(int64_t value) { return Value(value); }
  static Value String(std::string value) {
    return Value(std::make_shared<const std::string>(std::move(value)));
  }
  // INVALID_ARGUMENT when nested too deep or when an item is a namespace.
  static StatusOr<Value> FromList(List items);
  static StatusOr<Value> FromDict(Dict entries);
  static Value NewNamespace();

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is(Kind kind) const { return this->kind() == kind; }
  // REQUIRES: the matching kind.
  bool bool_value() const { return std::get<bool>(data_); }
  int64_t int_value() const { return std::get<int64_t>(data_); }
  const std::string& string() const { return *std::get<StringBody>(data_); }
  const List& list() const;
  const Dict& dict() const;
  Dict* name_space() const;
  // The name under which an undefined value was asked for.
  const std::string& undefined_name() const { return std::get<Undefined>(data_).name; }

  // "string", "list", ... for messages.
  std::string_view kind_name() const;
  int depth() const;

 private:
  struct Undefined {
    std::string name;
  };
  struct NoneTag {};
  struct ListBody;
  struct DictBody;
  using StringBody = std::shared_ptr<const std::string>;
  // In the order of Kind.
  using Data = std::variant<Undefined, NoneTag, bool, int64_t, StringBody, std::shared_ptr<const ListBody>,
                            std::shared_ptr<const DictBody>, std::shared_ptr<Dict>>;
  explicit Value(Data data) : data_(std::move(data)) {}
  Data data_;
};

// Keys are strings, kept in the order in which they came.
struct Dict {
  std::vector<std::pair<std::string, Value>> entries;
  const Value* Find(std::string_view key) const;
  void Set(std::string_view key, Value value);
};

bool IsTrue(const Value& value);
bool AreEqual(const Value& a, const Value& b);
// What {{ value }} prints. INVALID_ARGUMENT for lists and dictionaries, which templates print with tojson.
StatusOr<std::string> ToText(const Value& value);
// As Python's json.dumps with ensure_ascii=False; indent < 0 = one line.
StatusOr<std::string> ToJsonText(const Value& value, int indent);

// Python's str.isspace, which is what trim and strip take away.
bool IsPythonSpace(char32_t code);
std::string_view StripLeft(std::string_view text);
std::string_view StripRight(std::string_view text);
// Where each character begins, and at the end the length. REQUIRES: UTF-8.
std::vector<size_t> CharacterStarts(std::string_view text);

}  // namespace ft::data::jinja
