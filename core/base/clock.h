// Time as an argument: everything that reads a clock takes one, so that tests can move it.
#pragma once

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace ft {

class Clock {
 public:
  virtual ~Clock() = default;
  // Wall-clock time, for people and records only; it may jump.
  virtual absl::Time Now() const = 0;
  // Time since boot including suspend; for leases and timeouts. Never jumps backwards.
  virtual absl::Duration BootTime() const = 0;
};

// The machine's clocks. Thread-safe.
class SystemClock : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
  absl::Duration BootTime() const override;
};

// A clock that stands still until it is moved. Not thread-safe.
class ManualClock : public Clock {
 public:
  absl::Time Now() const override { return now_; }
  absl::Duration BootTime() const override { return boot_; }
  void Advance(absl::Duration by) {
    now_ += by;
    boot_ += by;
  }
  void JumpWallClock(absl::Duration by) { now_ += by; }

 private:
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  absl::Duration boot_ = absl::Seconds(1000);
};

}  // namespace ft
