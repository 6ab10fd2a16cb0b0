#include "client/render/units.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

namespace ft::client {

std::string FormatDuration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e15) return "-";
  if (seconds < 9.95) return fmt::format("{:.1f}s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m {:02}s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{}h {:02}m", whole / 3600, whole % 3600 / 60);
  return fmt::format("{}d {:02}h", whole / 86400, whole % 86400 / 3600);
}

std::string FormatBytes(int64_t bytes) {
  static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return value < 9.95 ? fmt::format("{:.1f} {}", value, kUnits[unit])
                      : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

std::string FormatCount(int64_t count) {
  std::string digits = fmt::format("{}", count);
  const size_t first = digits[0] == '-' ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, ",");
  }
  return digits;
}

std::string FormatLoss(double loss) {
  if (!std::isfinite(loss)) return "-";
  const double size = std::abs(loss);
  return size != 0 && (size < 1e-3 || size >= 1e5) ? fmt::format("{:.1e}", loss)
                                                   : fmt::format("{:.4f}", loss);
}

std::string FormatPerplexity(double loss) {
  const double perplexity = std::exp(loss);
  return std::isfinite(perplexity) ? fmt::format("{:.4g}", perplexity) : "-";
}

std::string FormatRate(double learning_rate) {
  return std::isfinite(learning_rate) ? fmt::format("{:.2e}", learning_rate) : "-";
}

}  // namespace ft::client
