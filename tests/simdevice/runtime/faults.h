// Error codes of the simulated accelerator, which are CUDA's where CUDA has one, and faults on request.
#pragma once

#include <cstdint>
#include <string_view>

namespace ft::simdevice {

using Error = int;

inline constexpr Error kNone = 0;
// The device met an address that is none of its own: cudaErrorIllegalAddress.
inline constexpr Error kIllegalAddress = 700;
// Work that ran found its input wrong, as an index past the end: cudaErrorAssert.
inline constexpr Error kAssert = 710;
// A kernel failed: cudaErrorLaunchFailure.
inline constexpr Error kLaunchFailure = 719;
// The device is gone: cudaErrorUnknown, as drivers say when a card has fallen off the bus.
inline constexpr Error kLost = 999;
// A launch that was refused. A real device would meet a fault later, or compute nonsense.
inline constexpr Error kHostPointer = -1;
inline constexpr Error kFreedMemory = -2;
inline constexpr Error kOtherDevice = -3;

// One sentence.
const char* ErrorText(Error error);

// FT_SIM_FAULT: `oom@n` lets the n-th allocation of a device fail once; `700@n` and `719@n` let its n-th operation fail when it
// runs, after which the device does no more work; `lost@n` lets the device be gone from its n-th operation on. Counted from 1.
struct FaultPlan {
  enum class Kind { kNone, kOutOfMemory, kFails, kLost };
  Kind kind = Kind::kNone;
  Error error = kNone;  // Of kFails.
  uint64_t at = 0;
};

// False when `text` is no fault.
bool ParseFault(std::string_view text, FaultPlan* plan);

}  // namespace ft::simdevice
