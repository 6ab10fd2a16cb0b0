// What positions are to a decoder: the angles of rotary ones with every kind of scaling, the slopes of ALiBi, factors of queries.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/model/decoder/config.h"
#include "worker/model/ops/epilogue.h"

namespace ft::model {

// Whether a pass is part of training: some decoders have other angles outside of it.
enum class Mode { kTraining, kInference };

// Turns per position, one a pair of values that turn, in float32 as the original implementations have them. `length`
// is the length of the longest sequence of the input at hand; only some scalings look at it.
std::vector<float> InverseFrequencies(const DecoderConfig& config, const Rotary& rotary, int64_t length,
                                      Mode mode);

// True when the angles for inputs of these two lengths differ, so that what was computed for one cannot serve
// the other.
bool AnglesDiffer(const DecoderConfig& config, int64_t length, int64_t other_length, Mode mode);

// Cosine and sine of the angles of so many positions, in host memory; which of them rows have is left open.
ops::RopeTable MakeRopeTable(const DecoderConfig& config, const Rotary& rotary, int64_t positions,
                             int64_t length, Mode mode);

// ALiBi's slopes (Press et al., arXiv 2108.12409): 2^(-8i/n) where n heads are a power of two, else those of the next smaller power
// and of every second of twice that power.
std::vector<float> AlibiSlopes(int64_t heads);

// What DecoderConfig::log_n makes of queries at these positions, float32; undefined where it changes none.
torch::Tensor QueryScale(const DecoderConfig& config, const std::vector<int64_t>& position_N);

}  // namespace ft::model
