// Adds up what is held at a time, by kind, and remembers the moment at which it was most.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>

namespace ft::plan {

enum class Held : uint8_t { kFrozen, kTrained, kSums, kKept, kWork, kLogits, kWeight, kAttention };
inline constexpr size_t kHeldKinds = 8;

class MemoryMeter {
 public:
  using Bytes = std::array<int64_t, kHeldKinds>;

  void Change(Held kind, int64_t bytes) {
    now_[static_cast<size_t>(kind)] += bytes;
    total_ += bytes;
    if (total_ <= most_) return;
    most_ = total_;
    at_most_ = now_;
  }
  const Bytes& at_most() const { return at_most_; }

 private:
  Bytes now_{}, at_most_{};
  int64_t total_ = 0, most_ = 0;
};

// A tensor, or several, for as long as it lives; in whole blocks of LibTorch's allocator.
class Tensor {
 public:
  Tensor() = default;
  Tensor(MemoryMeter& meter, Held kind, double bytes)
      : meter_(&meter), kind_(kind), bytes_(static_cast<int64_t>(std::ceil(bytes / kBlock)) * kBlock) {
    meter_->Change(kind_, bytes_);
  }
  Tensor(Tensor&& other) noexcept { *this = std::move(other); }
  // What is overwritten goes after what comes is there.
  Tensor& operator=(Tensor&& other) noexcept {
    Free();
    meter_ = std::exchange(other.meter_, nullptr);
    kind_ = other.kind_;
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }
  ~Tensor() { Free(); }
  void Free() {
    if (meter_ != nullptr) meter_->Change(kind_, -bytes_);
    meter_ = nullptr;
    bytes_ = 0;
  }

 private:
  static constexpr int64_t kBlock = 512;
  MemoryMeter* meter_ = nullptr;
  Held kind_ = Held::kWork;
  int64_t bytes_ = 0;
};

}  // namespace ft::plan
