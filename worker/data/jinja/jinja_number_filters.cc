#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "worker/data/jinja/jinja_filter_call.h"
#include "worker/data/jinja/jinja_filters.h"
#include "worker/data/jinja/jinja_operators.h"
#include "worker/data/jinja/jinja_text.h"

namespace ft::data::jinja {
namespace {

using Kind = Value::Kind;

constexpr int64_t kMaxPrecision = 300;

// The digits of a number as Python reads them: without white space around, a plus sign, or single underscores between.
std::string Digits(std::string_view text) {
  text = StripRight(StripLeft(text));
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](size_t at) {
      return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
    };
    if (text[i] == '_' && i > 0 && digit(i - 1) && digit(i + 1)) continue;
    out += text[i];
  }
  return out;
}

std::optional<int64_t> ReadWhole(std::string_view text, int base) {
  std::string digits = Digits(text);
  const bool minus = digits.starts_with('-');
  for (const auto& [prefix, of_base] : {std::pair("0x", 16), std::pair("0o", 8), std::pair("0b", 2)}) {
    const std::string head = Lower(digits.substr(minus ? 1 : 0, 2));
    if (base == of_base && head == prefix) digits.erase(minus ? 1 : 0, 2);
  }
  int64_t number = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) return std::nullopt;
  return number;
}

std::optional<double> ReadFloat(std::string_view text) {
  const std::string digits = Digits(text);
  double number = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) return std::nullopt;
  return number;
}

std::optional<int64_t> Truncated(double value) {
  if (!std::isfinite(value) || std::abs(value) >= 0x1p63) return std::nullopt;
  return static_cast<int64_t>(value);
}

StatusOr<Value> ToInteger(const FilterCall& call) {
  const Value* given = call.arguments.Get(0, "default");
  const Value otherwise = given != nullptr ? *given : Value::Int(0);
  if (call.value.is_whole()) return Value::Int(call.value.whole());
  std::optional<int64_t> number;
  if (call.value.is(Kind::kFloat)) {
    number = Truncated(call.value.float_value());
  } else if (call.value.is(Kind::kString)) {
    ASSIGN_OR_RETURN(const int64_t base, call.arguments.Whole(1, "base", 10));
    if (base < 2 || base > 36) return absl::InvalidArgumentError("the filter int takes a base from 2 to 36");
    RETURN_IF_ERROR(call.budget.Charge(call.value.weight()));
    number = ReadWhole(call.value.string(), static_cast<int>(base));
    const std::optional<double> fraction = number ? std::nullopt : ReadFloat(call.value.string());
    if (fraction) number = Truncated(*fraction);
  } else if (call.value.is(Kind::kUndefined)) {
    return WrongType("making an integer of", call.value);
  }
  return number ? Value::Int(*number) : otherwise;
}

StatusOr<Value> ToFloat(const FilterCall& call) {
  const Value* given = call.arguments.Get(0, "default");
  if (call.value.is_number()) return Value::Float(call.value.number());
  if (call.value.is(Kind::kUndefined)) return WrongType("making a float of", call.value);
  if (call.value.is(Kind::kString)) {
    RETURN_IF_ERROR(call.budget.Charge(call.value.weight()));
    if (const std::optional<double> number = ReadFloat(call.value.string())) return Value::Float(*number);
  }
  return given != nullptr ? *given : Value::Float(0);
}

StatusOr<Value> Absolute(const FilterCall& call) {
  if (!call.value.is_number()) return WrongType("taking the absolute value of", call.value);
  if (call.value.is(Kind::kFloat)) return Value::Float(std::abs(call.value.float_value()));
  return call.value.whole() < 0 ? Signed("-", call.value) : Value::Int(call.value.whole());
}

// Half to even by the exact decimal digits, as Python's round().
double RoundedTo(double value, int64_t precision) {
  if (!std::isfinite(value)) return value;
  if (precision < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-precision));
    return std::nearbyint(value / unit) * unit;
  }
  return std::strtod(fmt::format("{:.{}f}", value, precision).c_str(), nullptr);
}

StatusOr<Value> Round(const FilterCall& call) {
  if (!call.value.is_number()) return WrongType("rounding", call.value);
  ASSIGN_OR_RETURN(const int64_t precision, call.arguments.Whole(0, "precision", 0));
  ASSIGN_OR_RETURN(const std::string method, call.arguments.Text(1, "method", "common"));
  if (precision < -kMaxPrecision || precision > kMaxPrecision)
    return absl::InvalidArgumentError(StrCat("round takes a precision up to ", kMaxPrecision));
  if (method == "common") {
    if (call.value.is_whole() && precision >= 0) return Value::Int(call.value.whole());
    const double rounded = RoundedTo(call.value.number(), precision);
    if (!call.value.is_whole()) return Value::Float(rounded);
    const std::optional<int64_t> whole = Truncated(rounded);
    if (!whole) return absl::InvalidArgumentError("an integer grows beyond 64 bits");
    return Value::Int(*whole);
  }
  if (method != "ceil" && method != "floor")
    return absl::InvalidArgumentError("round takes common, ceil or floor");
  const double unit = std::pow(10.0, static_cast<double>(precision));
  const double scaled = call.value.number() * unit;
  return Value::Float((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
}

StatusOr<Value> Sum(const FilterCall& call) {
  const Value* attribute = call.arguments.Get(0, "attribute");
  const Value* start = call.arguments.Get(1, "start");
  Value total = start != nullptr ? *start : Value::Int(0);
  ASSIGN_OR_RETURN(const List items, Items(call.value, call.budget));
  for (const Value& item : items) {
    Value term = item;
    if (attribute != nullptr && !attribute->is(Kind::kNone)) {
      ASSIGN_OR_RETURN(term, GetPath(item, *attribute, call.budget));
    }
    if (total.is(Kind::kString)) return absl::InvalidArgumentError("sum cannot add strings; use join");
    ASSIGN_OR_RETURN(total, Combine("+", total, term, call.budget));
  }
  return total;
}

StatusOr<Value> Extreme(const FilterCall& call) {
  const bool case_sensitive = call.arguments.Flag(0, "case_sensitive", false);
  const Value* attribute = call.arguments.Get(1, "attribute");
  ASSIGN_OR_RETURN(const List items, Items(call.value, call.budget));
  if (items.empty()) return Value::MakeUndefined("there are no items");
  size_t best = 0;
  Value best_key;
  for (size_t i = 0; i < items.size(); ++i) {
    Value key = items[i];
    if (attribute != nullptr && !attribute->is(Kind::kNone)) {
      ASSIGN_OR_RETURN(key, GetPath(key, *attribute, call.budget));
    }
    ASSIGN_OR_RETURN(key, FoldedKey(key, case_sensitive, call.budget));
    int order = -1;
    if (i > 0) {
      ASSIGN_OR_RETURN(
          order, call.name == "min" ? Order(key, best_key, call.budget) : Order(best_key, key, call.budget));
    }
    if (order >= 0) continue;
    best = i;
    best_key = std::move(key);
  }
  return items[best];
}

StatusOr<Value> Count(const FilterCall& call) {
  ASSIGN_OR_RETURN(const int64_t length, Length(call.value, call.budget));
  return Value::Int(length);
}

}  // namespace

FilterTable NumberFilters() {
  return {{"int", ToInteger}, {"float", ToFloat}, {"abs", Absolute}, {"round", Round}, {"sum", Sum},
          {"min", Extreme},   {"max", Extreme},   {"length", Count}, {"count", Count}};
}

}  // namespace ft::data::jinja
