// The kinds of rotary scaling: how a config.json says them, and what they make of frequencies.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/base/status.h"
#include "worker/model/decoder/config.h"

namespace ft::model {

// What else in the file a scaling looks at.
struct RopeContext {
  int64_t max_positions = 0;
  int64_t original_positions = 0;  // original_max_position_embeddings beside rope_scaling; 0 = not there.
};

// The object rope_scaling, or rope_parameters. UNIMPLEMENTED names a kind that is not built, INVALID_ARGUMENT a key that is missing or
// makes no sense.
StatusOr<RopeScaling> ReadRopeScaling(const nlohmann::json& object, const RopeContext& context);

// YaRN's magnitude: 0.1 mscale ln(factor) + 1, or 1 where nothing is stretched.
double YarnMagnitude(double factor, double mscale);

// YaRN over the frequencies of all values that turn, theta^(-2i/size), in place.
void ScaleByYarn(const RopeScaling& scaling, double theta, std::vector<float>& frequencies);

}  // namespace ft::model
