#include "worker/data/readers/parquet_values.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>

#include <fmt/format.h>

namespace ft::data {
namespace {

constexpr int64_t kSecondsPerDay = 86400;
constexpr int64_t kNanosPerSecond = 1000000000;
// Of the years 1 to 9999.
constexpr int64_t kFirstDay = -719162, kLastDay = 2932896;
constexpr int64_t kJulianDayOf1970 = 2440588;
constexpr size_t kWidestDecimal = 16;
constexpr int64_t kMaxScale = 38;

// The quotient rounded down, with what is left, which is never negative.
struct Division {
  int64_t whole, rest;
};
Division Divide(int64_t value, int64_t by) {
  const int64_t whole = value / by - (value % by < 0);
  return {whole, value - whole * by};
}

std::optional<std::string> DateText(int64_t day) {
  if (day < kFirstDay || day > kLastDay) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day}}};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

// REQUIRES: 0 <= second < kSecondsPerDay, 0 <= nanos < kNanosPerSecond.
std::string ClockText(int64_t second, int64_t nanos) {
  std::string text = fmt::format("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
  if (nanos == 0) return text;
  std::string digits = fmt::format("{:09}", nanos);
  digits.erase(digits.find_last_not_of('0') + 1);
  return text + "." + digits;
}

std::optional<std::string> MomentText(int64_t second, int64_t nanos) {
  const Division split = Divide(second, kSecondsPerDay);
  const std::optional<std::string> date = DateText(split.whole);
  if (!date) return std::nullopt;
  return StrCat(*date, " ", ClockText(split.rest, nanos));
}

std::optional<std::string> TimestampText(const ParquetLeaf& leaf, const ParquetValue& value) {
  if (leaf.type != ParquetType::kInt64 || leaf.per_second == 0) return std::nullopt;
  const Division split = Divide(value.integer, leaf.per_second);
  return MomentText(split.whole, split.rest * (kNanosPerSecond / leaf.per_second));
}

// The nanoseconds of a day, then its Julian number.
std::optional<std::string> OldTimestampText(std::string_view bytes) {
  int64_t nanos = 0;
  uint32_t day = 0;
  std::memcpy(&nanos, bytes.data(), sizeof(nanos));
  std::memcpy(&day, bytes.data() + sizeof(nanos), sizeof(day));
  if (nanos < 0 || nanos >= kSecondsPerDay * kNanosPerSecond) return std::nullopt;
  return MomentText((static_cast<int64_t>(day) - kJulianDayOf1970) * kSecondsPerDay + nanos / kNanosPerSecond,
                    nanos % kNanosPerSecond);
}

std::optional<std::string> TimeText(const ParquetLeaf& leaf, const ParquetValue& value) {
  if (leaf.per_second == 0) return std::nullopt;
  const Division split = Divide(value.integer, leaf.per_second);
  if (split.whole < 0 || split.whole >= kSecondsPerDay) return std::nullopt;
  return ClockText(split.whole, split.rest * (kNanosPerSecond / leaf.per_second));
}

// The unscaled number of a decimal: an integer column's, or bytes with the highest first.
std::optional<__int128> Unscaled(const ParquetLeaf& leaf, const ParquetValue& value) {
  if (leaf.type == ParquetType::kInt32 || leaf.type == ParquetType::kInt64) return value.integer;
  if (leaf.type != ParquetType::kBytes && leaf.type != ParquetType::kFixed) return std::nullopt;
  if (value.bytes.size() > kWidestDecimal) return std::nullopt;
  unsigned __int128 bits =
      !value.bytes.empty() && static_cast<int8_t>(value.bytes[0]) < 0 ? ~(unsigned __int128){0} : 0;
  for (const char c : value.bytes) bits = bits << 8 | static_cast<uint8_t>(c);
  return static_cast<__int128>(bits);
}

std::optional<std::string> DecimalText(const ParquetLeaf& leaf, const ParquetValue& value) {
  const std::optional<__int128> unscaled = Unscaled(leaf, value);
  if (!unscaled || leaf.scale < 0 || leaf.scale > kMaxScale) return std::nullopt;
  auto left = static_cast<unsigned __int128>(*unscaled);
  if (*unscaled < 0) left = 0 - left;
  std::string digits;  // The last first.
  while (left > 0 || static_cast<int64_t>(digits.size()) <= leaf.scale) {
    digits.push_back(static_cast<char>('0' + static_cast<int>(left % 10)));
    left /= 10;
    if (leaf.scale > 0 && static_cast<int64_t>(digits.size()) == leaf.scale) digits.push_back('.');
  }
  if (digits.back() == '.') digits.push_back('0');
  if (*unscaled < 0) digits.push_back('-');
  std::reverse(digits.begin(), digits.end());
  return digits;
}

std::string UuidText(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<uint8_t>(bytes[i]));
  }
  return text;
}

// The fraction that a person would write for it: 0.1 for the 32 bits nearest to 0.1.
double RealOf(const ParquetLeaf& leaf, const ParquetValue& value) {
  if (leaf.type == ParquetType::kDouble) return value.real;
  char text[32];
  const auto written = std::to_chars(std::begin(text), std::end(text), static_cast<float>(value.real));
  double wide = value.real;
  std::from_chars(std::begin(text), written.ptr, wide);
  return wide;
}

uint64_t Unsigned(const ParquetLeaf& leaf, int64_t value) {
  return leaf.type == ParquetType::kInt32 ? static_cast<uint32_t>(value) : static_cast<uint64_t>(value);
}

void Set(std::optional<std::string> text, FieldKind kind, std::string_view what, Field* field) {
  field->kind = text ? kind : FieldKind::kError;
  field->text = text ? *std::move(text) : StrCat("a value that is no ", what);
}

void SetText(std::string_view bytes, Field* field) {
  const bool text = simdjson::validate_utf8(bytes.data(), bytes.size());
  field->kind = text ? FieldKind::kText : FieldKind::kError;
  field->text = text ? std::string(bytes) : "bytes that are no text in UTF-8";
}

void SetNumber(const ParquetLeaf& leaf, const ParquetValue& value, Field* field) {
  field->kind = FieldKind::kNumber;
  if (leaf.type == ParquetType::kFloat || leaf.type == ParquetType::kDouble) {
    if (!std::isfinite(value.real)) {
      field->kind = FieldKind::kNull;
      return;
    }
    field->text = nlohmann::json(RealOf(leaf, value)).dump();
    return;
  }
  field->text = leaf.meaning == ParquetMeaning::kUnsigned ? StrCat(Unsigned(leaf, value.integer))
                                                          : StrCat(value.integer);
}

}  // namespace

void TextOfParquet(const ParquetLeaf& leaf, const ParquetValue& value, Field* field) {
  const bool bytes = leaf.type == ParquetType::kBytes || leaf.type == ParquetType::kFixed;
  field->text.clear();
  switch (leaf.meaning) {
    case ParquetMeaning::kNull: field->kind = FieldKind::kNull; return;
    case ParquetMeaning::kDecimal: return Set(DecimalText(leaf, value), FieldKind::kNumber, "decimal", field);
    case ParquetMeaning::kDate:
      return Set(leaf.type == ParquetType::kInt32 ? DateText(value.integer) : std::nullopt, FieldKind::kText,
                 "date", field);
    case ParquetMeaning::kTime: return Set(TimeText(leaf, value), FieldKind::kText, "time", field);
    case ParquetMeaning::kTimestamp: return Set(TimestampText(leaf, value), FieldKind::kText, "time", field);
    case ParquetMeaning::kUuid:
      if (!bytes || value.bytes.size() != 16) return Set(std::nullopt, FieldKind::kText, "UUID", field);
      field->kind = FieldKind::kText;
      field->text = UuidText(value.bytes);
      return;
    default: break;
  }
  if (bytes) return SetText(value.bytes, field);
  if (leaf.type == ParquetType::kInt96)
    return Set(OldTimestampText(value.bytes), FieldKind::kText, "time", field);
  if (leaf.type != ParquetType::kBool) return SetNumber(leaf, value, field);
  field->kind = FieldKind::kBool;
  field->text = value.integer != 0 ? "true" : "false";
}

nlohmann::ordered_json JsonOfParquet(const ParquetLeaf& leaf, const ParquetValue& value, const Field& field) {
  switch (field.kind) {
    case FieldKind::kNull: return nullptr;
    case FieldKind::kBool: return value.integer != 0;
    case FieldKind::kNumber: break;
    default: return field.text;
  }
  if (leaf.meaning == ParquetMeaning::kDecimal) return field.text;
  if (leaf.type == ParquetType::kFloat || leaf.type == ParquetType::kDouble) return RealOf(leaf, value);
  if (leaf.meaning == ParquetMeaning::kUnsigned) return Unsigned(leaf, value.integer);
  return value.integer;
}

}  // namespace ft::data
