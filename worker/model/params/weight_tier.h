// Where weights rest that no pass reads at the moment, away from where passes compute: what the model knows of tiers.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "core/plan/state_tiles.h"

namespace ft::params {

// Bytes on a tier, zeros at first. Lives on the training thread.
class RestingBytes {
 public:
  virtual ~RestingBytes() = default;
  // Bytes [begin, begin + the tensor's size) to and from where passes compute, in the order of the device's current stream. REQUIRES:
  // uint8, contiguous, on the tier's device. Throw UnitUnavailable.
  virtual void Read(int64_t begin, const torch::Tensor& to) = 0;
  virtual void Write(int64_t begin, const torch::Tensor& from) = 0;
};

// Lives on the training thread; outlives what it gives.
class WeightTier {
 public:
  virtual ~WeightTier() = default;
  // "host memory", "/data/offload".
  virtual std::string place() const = 0;
  // Room for so many bytes, all of it taken at once: plan::OnTier(bytes) of it. `what` is the name for people. Throws UnitUnavailable with
  // RESOURCE_EXHAUSTED where there is no room.
  virtual std::unique_ptr<RestingBytes> Take(const std::string& what, int64_t bytes) = 0;
  // Held, and moved so far.
  virtual const plan::TierBytes& bytes() const = 0;
};

}  // namespace ft::params
