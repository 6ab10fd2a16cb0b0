// The rotary angles of the positions that passes have, on the weights' device: made once a length and not once a pass.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "worker/model/decoder/rope_angles.h"
#include "worker/model/run/packed_rows.h"

namespace ft::run {

// Lives on the training thread.
class RopeTables {
 public:
  // `config` outlives this.
  RopeTables(const model::DecoderConfig& config, at::Device device) : config_(config), device_(device) {}

  // The angles of the rows, one table a DecoderConfig::rotaries. Segments whose angles differ, which is so where a scaling looks at the
  // length, have tables one behind the other.
  std::vector<ops::RopeTable> Of(const PackedRows& rows, model::Mode mode);

 private:
  // Of inputs whose angles are those of `length`; positions 0 to `positions` - 1.
  struct Kept {
    model::Mode mode = {};
    int64_t length = 0;
    int64_t positions = 0;
    std::vector<ops::RopeTable> tables = {};  // One a rotary.
  };

  bool Serves(const Kept& kept, int64_t length, model::Mode mode) const {
    return kept.mode == mode && !model::AnglesDiffer(config_, kept.length, length, mode);
  }
  // The unlike angles of a pass, without tables; `by_segment` gets which of them each segment has.
  std::vector<Kept> Wanted(const PackedRows& rows, model::Mode mode, std::vector<size_t>& by_segment) const;
  // With tables, of at least so many positions.
  Kept Find(const Kept& wanted);

  const model::DecoderConfig& config_;
  const at::Device device_;
  std::vector<Kept> kept_;  // The newest last.
};

}  // namespace ft::run
