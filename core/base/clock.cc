#include "core/base/clock.h"

#include <ctime>

namespace ft {

absl::Duration SystemClock::BootTime() const {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::DurationFromTimespec(now);
}

}  // namespace ft
