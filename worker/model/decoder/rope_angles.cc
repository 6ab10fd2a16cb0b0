#include "worker/model/decoder/rope_angles.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "worker/model/decoder/rope_scaling.h"

namespace ft::model {
namespace {

// What theta is multiplied by so that a wave grows by `stretch` where it is longest, over `size` values.
double Stretched(double theta, double stretch, double size) {
  return theta * std::pow(stretch, size / (size - 2));
}

// Dynamic NTK: theta grows so that the longest wave covers the input (HF's formula).
double Theta(const DecoderConfig& config, const Rotary& rotary, int64_t length, Mode mode) {
  const RopeScaling& scaling = rotary.scaling;
  if (length <= config.max_positions) return rotary.theta;
  const double size = static_cast<double>(config.TurnedSize(rotary)), factor = scaling.factor;
  const double share = static_cast<double>(length) / static_cast<double>(config.max_positions);
  if (scaling.kind == RopeScaling::Kind::kDynamic) {
    const double stretch =
        factor * static_cast<double>(length) / static_cast<double>(config.max_positions) - (factor - 1);
    return Stretched(rotary.theta, stretch, size);
  }
  if (scaling.kind == RopeScaling::Kind::kStepped && mode == Mode::kInference) {
    return Stretched(rotary.theta, std::exp2(std::ceil(std::log2(share) + 1)) - 1, size);
  }
  return rotary.theta;
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

// LongRoPE's factors for an input of this length.
const std::vector<double>& FactorsOf(const RopeScaling& scaling, int64_t length) {
  return length > scaling.original_positions ? scaling.long_factors : scaling.short_factors;
}

// What the scalings by pairs make of the frequency of pair i.
float ScaledPair(const RopeScaling& scaling, int64_t length, int64_t i, int64_t pairs, float frequency) {
  switch (scaling.kind) {
    case RopeScaling::Kind::kLinear: return frequency / static_cast<float>(scaling.factor);
    case RopeScaling::Kind::kLlama3: return Llama3(scaling, frequency);
    case RopeScaling::Kind::kLongRope:
      return frequency / static_cast<float>(FactorsOf(scaling, length)[static_cast<size_t>(i)]);
    case RopeScaling::Kind::kProportional: {
      const bool turns = i < static_cast<int64_t>(scaling.share * static_cast<double>(pairs));
      return turns ? frequency / static_cast<float>(scaling.factor) : 0;
    }
    default: return frequency;
  }
}

}  // namespace

std::vector<float> InverseFrequencies(const DecoderConfig& config, const Rotary& rotary, int64_t length,
                                      Mode mode) {
  const double theta = Theta(config, rotary, length, mode);
  const int64_t turned = config.TurnedSize(rotary);
  std::vector<float> frequencies;
  for (int64_t i = 0; i < turned / 2; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(turned);
    const auto frequency = static_cast<float>(1.0 / std::pow(theta, exponent));
    frequencies.push_back(ScaledPair(rotary.scaling, length, i, turned / 2, frequency));
  }
  if (rotary.scaling.kind == RopeScaling::Kind::kYarn) ScaleByYarn(rotary.scaling, theta, frequencies);
  return frequencies;
}

bool AnglesDiffer(const DecoderConfig& config, int64_t length, int64_t other_length, Mode mode) {
  return std::any_of(config.rotaries.begin(), config.rotaries.end(), [&](const Rotary& rotary) {
    const RopeScaling& scaling = rotary.scaling;
    if (scaling.kind == RopeScaling::Kind::kLongRope)
      return FactorsOf(scaling, length) != FactorsOf(scaling, other_length);
    return Theta(config, rotary, length, mode) != Theta(config, rotary, other_length, mode);
  });
}

ops::RopeTable MakeRopeTable(const DecoderConfig& config, const Rotary& rotary, int64_t positions,
                             int64_t length, Mode mode) {
  const std::vector<float> frequencies = InverseFrequencies(config, rotary, length, mode);
  const auto pairs = static_cast<int64_t>(frequencies.size());
  ops::RopeTable table{.cosine_LP = torch::empty({positions, pairs}, torch::kFloat),
                       .sine_LP = torch::empty({positions, pairs}, torch::kFloat),
                       .position_N = {},
                       .neighbours = rotary.neighbours};
  float* cosine = table.cosine_LP.data_ptr<float>();
  float* sine = table.sine_LP.data_ptr<float>();
  for (int64_t position = 0; position < positions; ++position) {
    for (int64_t i = 0; i < pairs; ++i) {
      // The angle is rounded to float32 before cosine and sine, as in the original implementations.
      const float angle = static_cast<float>(position) * frequencies[static_cast<size_t>(i)];
      cosine[position * pairs + i] = std::cos(angle);
      sine[position * pairs + i] = std::sin(angle);
    }
  }
  if (const auto magnitude = static_cast<float>(rotary.scaling.magnitude); magnitude != 1) {
    table.cosine_LP.mul_(magnitude);
    table.sine_LP.mul_(magnitude);
  }
  return table;
}

std::vector<float> AlibiSlopes(int64_t heads) {
  const auto whole = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(heads)));
  const auto slope = [](int64_t i, int64_t count) {
    return static_cast<float>(std::exp2(-8.0 * static_cast<double>(i) / static_cast<double>(count)));
  };
  std::vector<float> slopes;
  for (int64_t i = 1; i <= whole; ++i) slopes.push_back(slope(i, whole));
  for (int64_t i = 0; i < heads - whole; ++i) slopes.push_back(slope(2 * i + 1, 2 * whole));
  return slopes;
}

torch::Tensor QueryScale(const DecoderConfig& config, const std::vector<int64_t>& position_N) {
  const auto beyond = [&](int64_t position) { return position + 1 > config.log_n; };
  if (config.log_n == 0 || std::none_of(position_N.begin(), position_N.end(), beyond)) return {};
  torch::Tensor scale_N = torch::ones({static_cast<int64_t>(position_N.size())}, torch::kFloat);
  float* scale = scale_N.data_ptr<float>();
  for (size_t row = 0; row < position_N.size(); ++row) {
    if (!beyond(position_N[row])) continue;
    scale[row] = static_cast<float>(std::log(static_cast<double>(position_N[row] + 1)) /
                                    std::log(static_cast<double>(config.log_n)));
  }
  return scale_N;
}

}  // namespace ft::model
