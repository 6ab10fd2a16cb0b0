#include "worker/data/jinja/jinja_value.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "worker/data/tokenizer/utf8.h"

namespace ft::data::jinja {

struct Value::ListBody {
  List items;
  int depth;
};

struct Value::DictBody {
  Dict entries;
  int depth;
};

namespace {

using Kind = Value::Kind;

Status CheckItem(const Value& item, int* depth) {
  if (item.is(Kind::kNamespace))
    return absl::InvalidArgumentError("puts a namespace into a list or dictionary");
  *depth = std::max(*depth, item.depth() + 1);
  if (*depth > kMaxValueDepth) {
    return absl::InvalidArgumentError(StrCat("nests lists or dictionaries deeper than ", kMaxValueDepth));
  }
  return absl::OkStatus();
}

bool IsNumber(const Value& value) { return value.is(Kind::kBool) || value.is(Kind::kInt); }
int64_t Number(const Value& value) {
  return value.is(Kind::kBool) ? (value.bool_value() ? 1 : 0) : value.int_value();
}

bool EqualDicts(const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  return std::all_of(a.entries.begin(), a.entries.end(), [&b](const auto& entry) {
    const Value* other = b.Find(entry.first);
    return other != nullptr && AreEqual(entry.second, *other);
  });
}

void AppendQuoted(const std::string& text, std::string* out) {
  out->append(
      nlohmann::json(text).dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace));
}

void NewLine(int indent, int level, std::string* out) {
  if (indent < 0) return;
  out->push_back('\n');
  out->append(static_cast<size_t>(indent) * static_cast<size_t>(level), ' ');
}

class JsonPrinter {
 public:
  JsonPrinter(int indent, std::string* out) : indent_(indent), out_(out) {}

  Status Print(const Value& value, int level) {
    switch (value.kind()) {
      case Kind::kNone: out_->append("null"); return absl::OkStatus();
      case Kind::kBool: out_->append(value.bool_value() ? "true" : "false"); return absl::OkStatus();
      case Kind::kInt: StrAppend(out_, value.int_value()); return absl::OkStatus();
      case Kind::kString: AppendQuoted(value.string(), out_); return absl::OkStatus();
      case Kind::kList:
        return PrintAll('[', ']', value.list().size(), level,
                        [&](size_t i) { return Print(value.list()[i], level + 1); });
      case Kind::kDict:
        return PrintAll('{', '}', value.dict().entries.size(), level, [&](size_t i) {
          AppendQuoted(value.dict().entries[i].first, out_);
          out_->append(": ");
          return Print(value.dict().entries[i].second, level + 1);
        });
      case Kind::kUndefined:
      case Kind::kNamespace: break;
    }
    return absl::InvalidArgumentError(StrCat("cannot write ", value.kind_name(), " as JSON"));
  }

 private:
  template <typename PrintItem>
  Status PrintAll(char open, char close, size_t count, int level, PrintItem print_item) {
    out_->push_back(open);
    for (size_t i = 0; i < count; ++i) {
      if (i > 0) out_->append(indent_ < 0 ? ", " : ",");
      NewLine(indent_, level + 1, out_);
      RETURN_IF_ERROR(print_item(i));
    }
    if (count > 0) NewLine(indent_, level, out_);
    out_->push_back(close);
    return absl::OkStatus();
  }

  int indent_;
  std::string* out_;
};

}  // namespace

StatusOr<Value> Value::FromList(List items) {
  int depth = 1;
  for (const Value& item : items) RETURN_IF_ERROR(CheckItem(item, &depth));
  return Value(std::make_shared<const ListBody>(ListBody{std::move(items), depth}));
}

StatusOr<Value> Value::FromDict(Dict entries) {
  int depth = 1;
  for (const auto& entry : entries.entries) RETURN_IF_ERROR(CheckItem(entry.second, &depth));
  return Value(std::make_shared<const DictBody>(DictBody{std::move(entries), depth}));
}

Value Value::NewNamespace() { return Value(std::make_shared<Dict>()); }

const List& Value::list() const { return std::get<std::shared_ptr<const ListBody>>(data_)->items; }
const Dict& Value::dict() const { return std::get<std::shared_ptr<const DictBody>>(data_)->entries; }
Dict* Value::name_space() const { return std::get<std::shared_ptr<Dict>>(data_).get(); }

std::string_view Value::kind_name() const {
  static constexpr std::string_view kNames[] = {"an undefined value", "none",       "a boolean",
                                                "an integer",         "a string",   "a list",
                                                "a dictionary",       "a namespace"};
  return kNames[data_.index()];
}

int Value::depth() const {
  if (is(Kind::kList)) return std::get<std::shared_ptr<const ListBody>>(data_)->depth;
  if (is(Kind::kDict)) return std::get<std::shared_ptr<const DictBody>>(data_)->depth;
  return 0;
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
    case Kind::kString: return !value.string().empty();
    case Kind::kList: return !value.list().empty();
    case Kind::kDict: return !value.dict().entries.empty();
    case Kind::kNamespace: return true;
  }
  return false;
}

bool AreEqual(const Value& a, const Value& b) {
  if (IsNumber(a) && IsNumber(b)) return Number(a) == Number(b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kString: return a.string() == b.string();
    case Kind::kList:
      return std::equal(a.list().begin(), a.list().end(), b.list().begin(), b.list().end(), AreEqual);
    case Kind::kDict: return EqualDicts(a.dict(), b.dict());
    case Kind::kNamespace: return a.name_space() == b.name_space();
    default: return true;
  }
}

StatusOr<std::string> ToText(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined: return std::string();
    case Kind::kNone: return std::string("None");
    case Kind::kBool: return std::string(value.bool_value() ? "True" : "False");
    case Kind::kInt: return StrCat(value.int_value());
    case Kind::kString: return value.string();
    default:
      return absl::InvalidArgumentError(StrCat("prints ", value.kind_name(), "; only tojson can do that"));
  }
}

StatusOr<std::string> ToJsonText(const Value& value, int indent) {
  std::string out;
  RETURN_IF_ERROR(JsonPrinter(indent, &out).Print(value, 0));
  return out;
}

bool IsPythonSpace(char32_t code) { return tokenizer::IsWhiteSpace(code) || (code >= 0x1C && code <= 0x1F); }

std::string_view StripLeft(std::string_view text) {
  while (!text.empty()) {
    const tokenizer::Utf8Char first = tokenizer::ReadUtf8(text, 0);
    if (!IsPythonSpace(first.code)) break;
    text.remove_prefix(first.length);
  }
  return text;
}

std::string_view StripRight(std::string_view text) {
  while (!text.empty()) {
    const tokenizer::Utf8Char last = tokenizer::ReadUtf8Before(text, text.size());
    if (!IsPythonSpace(last.code)) break;
    text.remove_suffix(last.length);
  }
  return text;
}

std::vector<size_t> CharacterStarts(std::string_view text) {
  std::vector<size_t> starts;
  for (size_t pos = 0; pos < text.size(); pos += tokenizer::ReadUtf8(text, pos).length) starts.push_back(pos);
  starts.push_back(text.size());
  return starts;
}

}  // namespace ft::data::jinja
