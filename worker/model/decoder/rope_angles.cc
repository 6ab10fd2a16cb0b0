#include "worker/model/decoder/rope_angles.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ft::model {
namespace {

// Dynamic NTK: theta grows so that the longest wave covers the input (HF's formula).
double Theta(const DecoderConfig& config, int64_t length) {
  if (config.rope_scaling.kind != RopeScaling::Kind::kDynamic || length <= config.max_positions) {
    return config.rope_theta;
  }
  const double size = static_cast<double>(config.head_size), factor = config.rope_scaling.factor;
  const double stretch =
      factor * static_cast<double>(length) / static_cast<double>(config.max_positions) - (factor - 1);
  return config.rope_theta * std::pow(stretch, size / (size - 2));
}

// Llama 3.1: waves longer than the original context are slowed by `factor`, short ones kept, a linear ramp
// between.
float Llama3(const RopeScaling& scaling, float frequency) {
  const double context = static_cast<double>(scaling.original_positions);
  const double wave = 2 * std::numbers::pi / frequency;
  if (wave > context / scaling.low_frequency_factor) return static_cast<float>(frequency / scaling.factor);
  if (wave < context / scaling.high_frequency_factor) return frequency;
  const double smooth = (context / wave - scaling.low_frequency_factor) /
                        (scaling.high_frequency_factor - scaling.low_frequency_factor);
  return static_cast<float>((1 - smooth) * frequency / scaling.factor + smooth * frequency);
}

}  // namespace

std::vector<float> InverseFrequencies(const DecoderConfig& config, int64_t length) {
  const double theta = Theta(config, length);
  std::vector<float> frequencies;
  for (int64_t i = 0; i < config.head_size / 2; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(config.head_size);
    float frequency = static_cast<float>(1.0 / std::pow(theta, exponent));
    if (config.rope_scaling.kind == RopeScaling::Kind::kLinear) {
      frequency /= static_cast<float>(config.rope_scaling.factor);
    }
    if (config.rope_scaling.kind == RopeScaling::Kind::kLlama3)
      frequency = Llama3(config.rope_scaling, frequency);
    frequencies.push_back(frequency);
  }
  return frequencies;
}

bool AnglesDiffer(const DecoderConfig& config, int64_t length, int64_t other_length) {
  return Theta(config, length) != Theta(config, other_length);
}

ops::RopeTable MakeRopeTable(const DecoderConfig& config, const std::vector<int64_t>& position_N,
                             int64_t length) {
  const std::vector<float> frequencies = InverseFrequencies(config, length);
  const int64_t rows = static_cast<int64_t>(position_N.size()),
                pairs = static_cast<int64_t>(frequencies.size());
  ops::RopeTable table{torch::empty({rows, pairs}, torch::kFloat),
                       torch::empty({rows, pairs}, torch::kFloat)};
  float* cosine = table.cosine_NP.data_ptr<float>();
  float* sine = table.sine_NP.data_ptr<float>();
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < pairs; ++i) {
      // The angle is rounded to float32 before cosine and sine, as in the original implementations.
      const float angle =
          static_cast<float>(position_N[static_cast<size_t>(row)]) * frequencies[static_cast<size_t>(i)];
      cosine[row * pairs + i] = std::cos(angle);
      sine[row * pairs + i] = std::sin(angle);
    }
  }
  return table;
}

}  // namespace ft::model
