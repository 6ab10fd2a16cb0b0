#include "worker/model/decoder/rope_scaling.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>

#include "worker/model/decoder/config_reader.h"

namespace ft::model {
namespace {

using nlohmann::json;
using Kind = RopeScaling::Kind;

constexpr size_t kMostFactors = 4096;

void ReadLlama3(ConfigReader& read, RopeScaling& scaling) {
  scaling.low_frequency_factor = read.Number("low_freq_factor", std::nullopt);
  scaling.high_frequency_factor = read.Number("high_freq_factor", std::nullopt);
  scaling.original_positions = read.Integer("original_max_position_embeddings", std::nullopt);
  if (scaling.high_frequency_factor > scaling.low_frequency_factor && scaling.original_positions > 0) return;
  read.Complain(absl::InvalidArgumentError("high_freq_factor must be above low_freq_factor"));
}

// The context that was trained with, and how much longer inputs may be: `factor`, or what the two lengths say.
void ReadOriginal(ConfigReader& read, const RopeContext& context, RopeScaling& scaling) {
  const int64_t beside = context.original_positions > 0 ? context.original_positions : context.max_positions;
  scaling.original_positions = read.Integer("original_max_position_embeddings", beside);
  if (scaling.original_positions < 1) {
    read.Complain(absl::InvalidArgumentError("original_max_position_embeddings must be at least 1"));
    scaling.original_positions = 1;
  }
  const double lengths =
      static_cast<double>(context.max_positions) / static_cast<double>(scaling.original_positions);
  scaling.factor = read.Number("factor", lengths);
}

void ReadYarn(ConfigReader& read, const RopeContext& context, RopeScaling& scaling) {
  ReadOriginal(read, context, scaling);
  scaling.fast_turns = read.Number("beta_fast", 32);
  scaling.slow_turns = read.Number("beta_slow", 1);
  scaling.whole_pairs = read.Boolean("truncate", true);
  if (!(scaling.slow_turns > 0) || !(scaling.fast_turns >= scaling.slow_turns))
    read.Complain(absl::InvalidArgumentError("beta_fast must be at least beta_slow, and that above 0"));
  const double mscale = read.Number("mscale", 0), all = read.Number("mscale_all_dim", 0);
  const double own = mscale != 0 && all != 0
                         ? YarnMagnitude(scaling.factor, mscale) / YarnMagnitude(scaling.factor, all)
                         : YarnMagnitude(scaling.factor, 1);
  scaling.magnitude = read.Number("attention_factor", own);
}

std::vector<double> ReadFactors(ConfigReader& read, const char* key) {
  std::vector<double> factors;
  const json* list = read.List(key);
  if (list == nullptr || list->size() > kMostFactors) {
    read.Complain(absl::InvalidArgumentError(StrCat(key, " is missing or too long a list")));
    return factors;
  }
  for (const json& factor : *list) {
    if (!factor.is_number() || !(factor.get<double>() > 0)) {
      read.Complain(absl::InvalidArgumentError(StrCat(key, " holds something else than numbers above 0")));
      return factors;
    }
    factors.push_back(factor.get<double>());
  }
  return factors;
}

void ReadLongRope(ConfigReader& read, const RopeContext& context, RopeScaling& scaling) {
  ReadOriginal(read, context, scaling);
  scaling.short_factors = ReadFactors(read, "short_factor");
  scaling.long_factors = ReadFactors(read, "long_factor");
  read.RequireAbsent({"short_mscale", "long_mscale"});
  double own = 1;
  if (scaling.factor > 1 && scaling.original_positions > 1) {
    own = std::sqrt(1 + std::log(scaling.factor) / std::log(static_cast<double>(scaling.original_positions)));
  }
  scaling.magnitude = read.Number("attention_factor", own);
  // Its lists are what stretches.
  scaling.factor = 1;
}

void ReadProportional(ConfigReader& read, RopeScaling& scaling) {
  scaling.share = read.Number("partial_rotary_factor", 1);
  scaling.factor = read.Number("factor", 1);
  if (!(scaling.share > 0) || scaling.share > 1)
    read.Complain(absl::InvalidArgumentError("partial_rotary_factor is not above 0 and at most 1"));
}

}  // namespace

StatusOr<RopeScaling> ReadRopeScaling(const json& object, const RopeContext& context) {
  ConfigReader read(object);
  // Older files say "type", newer ones "rope_type".
  const std::string kind = read.Text("rope_type", read.Text("type", "default").c_str());
  RopeScaling scaling;
  if (kind == "linear" || kind == "dynamic") {
    scaling.kind = kind == "linear" ? Kind::kLinear : Kind::kDynamic;
    scaling.factor = read.Number("factor", std::nullopt);
  } else if (kind == "llama3") {
    scaling.kind = Kind::kLlama3;
    scaling.factor = read.Number("factor", std::nullopt);
    ReadLlama3(read, scaling);
  } else if (kind == "yarn") {
    scaling.kind = Kind::kYarn;
    ReadYarn(read, context, scaling);
  } else if (kind == "longrope" || kind == "su") {
    scaling.kind = Kind::kLongRope;
    ReadLongRope(read, context, scaling);
  } else if (kind == "proportional") {
    scaling.kind = Kind::kProportional;
    ReadProportional(read, scaling);
  } else if (kind != "default") {
    return absl::UnimplementedError(
        StrCat("rope_scaling of kind \"", kind,
               "\" is not supported by this version (supported: linear, dynamic, llama3, yarn, longrope, "
               "proportional)"));
  }
  RETURN_IF_ERROR(WithContext(read.status(), "rope_scaling"));
  if (!(scaling.magnitude > 0) || !std::isfinite(scaling.magnitude))
    return absl::InvalidArgumentError("rope_scaling: attention_factor is not above 0");
  return scaling;
}

double YarnMagnitude(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

void ScaleByYarn(const RopeScaling& scaling, double theta, std::vector<float>& frequencies) {
  const double size = 2 * static_cast<double>(frequencies.size());
  // The pair whose wave turns so often within the original context.
  const auto pair = [&](double turns) {
    return size * std::log(static_cast<double>(scaling.original_positions) / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(theta));
  };
  double first = pair(scaling.fast_turns), last = pair(scaling.slow_turns);
  if (scaling.whole_pairs) {
    first = std::floor(first);
    last = std::ceil(last);
  }
  first = std::max(first, 0.0);
  last = std::min(last, size - 1);
  if (first == last) last += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - first) / (last - first), 0.0, 1.0);
    const auto divided = static_cast<float>(ramp), kept = static_cast<float>(1 - ramp);
    frequencies[i] = frequencies[i] / static_cast<float>(scaling.factor) * divided + frequencies[i] * kept;
  }
}

}  // namespace ft::model
