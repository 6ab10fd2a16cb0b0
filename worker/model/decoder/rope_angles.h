// The angles of rotary positions with every kind of scaling.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/model/decoder/config.h"
#include "worker/model/ops/epilogue.h"

namespace ft::model {

// Turns per position, head_size / 2 of them, in float32 as the original implementations have them. `length`
// is the length of the longest sequence of the input at hand; only dynamic scaling looks at it.
std::vector<float> InverseFrequencies(const DecoderConfig& config, int64_t length);

// True when the angles for inputs of these two lengths differ, so that what was computed for one cannot serve
// the other.
bool AnglesDiffer(const DecoderConfig& config, int64_t length, int64_t other_length);

// Cosine and sine of each row's angles.
ops::RopeTable MakeRopeTable(const DecoderConfig& config, const std::vector<int64_t>& position_N,
                             int64_t length);

}  // namespace ft::model
