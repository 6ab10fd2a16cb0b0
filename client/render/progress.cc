#include "client/render/progress.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>
#include <vector>

namespace ft::client {
namespace {

constexpr std::string_view kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::string_view kAscii[] = {".", ":", "-", "=", "+", "*", "%", "#"};
constexpr int kLevels = 8;

// Means of `width` groups that differ in size by at most one value.
std::vector<double> Grouped(const std::vector<double>& values, size_t width) {
  if (values.size() <= width) return values;
  std::vector<double> means;
  means.reserve(width);
  for (size_t group = 0; group < width; ++group) {
    const size_t begin = group * values.size() / width;
    const size_t end = (group + 1) * values.size() / width;
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += values[i];
    means.push_back(sum / static_cast<double>(end - begin));
  }
  return means;
}

}  // namespace

std::string ProgressBar(double fraction, int width, const Terminal& terminal) {
  const double part = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
  // Full only when all is done: rounding down keeps the last cell open until then.
  const int filled = static_cast<int>(part * width + 1e-9);
  std::string bar;
  for (int i = 0; i < width; ++i) {
    bar += i < filled ? (terminal.utf8 ? "█" : "#") : (terminal.utf8 ? "░" : "-");
  }
  return bar;
}

std::string Sparkline(std::span<const double> values, int width, const Terminal& terminal) {
  std::vector<double> finite;
  std::copy_if(values.begin(), values.end(), std::back_inserter(finite),
               [](double v) { return std::isfinite(v); });
  if (finite.empty() || width <= 0) return std::string();
  const std::vector<double> means = Grouped(finite, static_cast<size_t>(width));
  const auto [low, high] = std::minmax_element(means.begin(), means.end());
  const double range = *high - *low;
  std::string line;
  for (const double mean : means) {
    const double height = range > 0 ? (mean - *low) / range : 0.5;
    const auto level = static_cast<size_t>(std::clamp(static_cast<int>(height * kLevels), 0, kLevels - 1));
    line += terminal.utf8 ? kBlocks[level] : kAscii[level];
  }
  return line;
}

}  // namespace ft::client
