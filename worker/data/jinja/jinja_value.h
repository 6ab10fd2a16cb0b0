// The values that a Jinja template works on, with Python's rules for truth and equality. How they are printed
// stands in jinja_print.h.
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
struct Callable;
struct Dict;
struct Loop;
using List = std::vector<Value>;

// Lists and dictionaries may nest this deep; deeper ones are refused where they would be made.
inline constexpr int kMaxValueDepth = 64;

// What Python type a list stands for: what it may do depends on it.
enum class Sequence { kList, kTuple, kRange, kItems, kKeys, kValues, kGenerator };

// Cheap to copy: strings, lists and dictionaries are shared and never change. A namespace and a loop are shared
// and do change; neither may lie inside a list, a dictionary or a namespace, so that nothing holds itself.
class Value {
 public:
  enum class Kind {
    kUndefined,
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,
    kList,
    kDict,
    kNamespace,
    kCallable,
    kLoop
  };

  Value() : data_(Undefined{}) {}
  static Value MakeUndefined(std::string name) {
    return Value(Undefined{std::make_shared<const std::string>(std::move(name))});
  }
  static Value None() { return Value(NoneTag{}); }
  static Value Bool(bool value) { return Value(value); }
  static Value Int(int64_t value) { return Value(value); }
  static Value Float(double value) { return Value(value); }
  static Value String(std::string value) {
    return Value(std::make_shared<const Text>(Text{std::move(value), false}));
  }
  // What the filter `safe` makes: added to another text, it escapes that text as for HTML.
  static Value Markup(std::string value) {
    return Value(std::make_shared<const Text>(Text{std::move(value), true}));
  }
  // A string that is markup where `other` is.
  static Value StringLike(const Value& other, std::string value) {
    return other.is_markup() ? Markup(std::move(value)) : String(std::move(value));
  }
  // INVALID_ARGUMENT when nested too deep or when an item is a namespace, a loop or something to call.
  static StatusOr<Value> FromList(List items, Sequence sequence = Sequence::kList);
  static StatusOr<Value> FromDict(Dict entries);
  static Value NewNamespace();
  static Value FromCallable(Callable callable);
  static Value FromLoop(std::shared_ptr<Loop> loop) { return Value(std::move(loop)); }

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is(Kind kind) const { return this->kind() == kind; }
  bool is_list(Sequence sequence) const { return is(Kind::kList) && this->sequence() == sequence; }
  bool is_markup() const { return is(Kind::kString) && std::get<TextBody>(data_)->markup; }
  // An integer, a boolean or a fraction: what Python counts as a number.
  bool is_number() const { return is(Kind::kInt) || is(Kind::kBool) || is(Kind::kFloat); }
  bool is_whole() const { return is(Kind::kInt) || is(Kind::kBool); }

  // REQUIRES: the matching kind.
  bool bool_value() const { return std::get<bool>(data_); }
  int64_t int_value() const { return std::get<int64_t>(data_); }
  double float_value() const { return std::get<double>(data_); }
  const std::string& string() const { return std::get<TextBody>(data_)->text; }
  const List& list() const;
  Sequence sequence() const;
  const Dict& dict() const;
  Dict* name_space() const;
  const Callable& callable() const { return *std::get<std::shared_ptr<const Callable>>(data_); }
  Loop* loop() const { return std::get<std::shared_ptr<Loop>>(data_).get(); }
  // The items that are left: of a generator what nobody has taken yet, and afterwards nothing.
  List Take() const;
  // REQUIRES: is_whole(), is_number().
  int64_t whole() const { return is(Kind::kBool) ? (bool_value() ? 1 : 0) : int_value(); }
  double number() const { return is(Kind::kFloat) ? float_value() : static_cast<double>(whole()); }
  // The name under which an undefined value was asked for.
  std::string_view undefined_name() const;

  // "a string", "a list", ... for messages.
  std::string_view kind_name() const;
  int depth() const;
  // About how much work it is to look at all of it: texts by 64 bytes, items one each.
  uint64_t weight() const;

 private:
  struct Undefined {
    std::shared_ptr<const std::string> name;
  };
  struct NoneTag {};
  struct Text {
    std::string text;
    bool markup;
  };
  struct ListBody;
  struct DictBody;
  using TextBody = std::shared_ptr<const Text>;
  // In the order of Kind.
  using Data = std::variant<Undefined, NoneTag, bool, int64_t, double, TextBody,
                            std::shared_ptr<const ListBody>, std::shared_ptr<const DictBody>,
                            std::shared_ptr<Dict>, std::shared_ptr<const Callable>, std::shared_ptr<Loop>>;
  explicit Value(Data data) : data_(std::move(data)) {}
  Data data_;
};

// Keys are strings, kept in the order in which they came.
struct Dict {
  std::vector<std::pair<std::string, Value>> entries;
  const Value* Find(std::string_view key) const;
  void Set(std::string_view key, Value value);
};

struct Scope;
struct Statement;

// Something that a template may call: a function of the environment, a method with its object, or a macro.
struct Callable {
  std::string name;
  Value object;                      // Undefined for functions and macros.
  const Statement* macro = nullptr;  // Of a macro, or of a call block, whose body it then is.
  Scope* closure = nullptr;          // Where the macro was defined.
};

// The variable `loop` of a for.
struct Loop {
  Value items;  // A list.
  size_t index = 0;
  int depth = 1;
  const Statement* statement = nullptr;  // Of a recursive loop.
  Scope* closure = nullptr;              // The same.
  bool has_changed = false;
  List last_changed;
};

bool IsTrue(const Value& value);
// At most the smaller weight of the two in steps.
bool AreEqual(const Value& a, const Value& b);

}  // namespace ft::data::jinja
