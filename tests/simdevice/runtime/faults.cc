#include "tests/simdevice/runtime/faults.h"

#include <charconv>

namespace ft::simdevice {

const char* ErrorText(Error error) {
  switch (error) {
    case kNone: return "no error";
    case kIllegalAddress: return "an illegal memory access was encountered";
    case kAssert: return "device-side assert triggered";
    case kLaunchFailure: return "unspecified launch failure";
    case kLost: return "unknown error (the device is lost)";
    case kHostPointer: return "a kernel was given an address of the host";
    case kFreedMemory: return "a kernel was given memory of the device that is free";
    case kOtherDevice: return "a kernel was given memory of another device";
    default: return "an error without a name";
  }
}

bool ParseFault(std::string_view text, FaultPlan* plan) {
  const size_t mark = text.find('@');
  if (mark == std::string_view::npos) return false;
  const std::string_view kind = text.substr(0, mark), number = text.substr(mark + 1);
  FaultPlan result;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), result.at);
  if (error != std::errc() || end != number.data() + number.size() || result.at == 0) return false;
  if (kind == "oom") {
    result.kind = FaultPlan::Kind::kOutOfMemory;
  } else if (kind == "700" || kind == "719") {
    result.kind = FaultPlan::Kind::kFails;
    result.error = kind == "700" ? kIllegalAddress : kLaunchFailure;
  } else if (kind == "lost") {
    result.kind = FaultPlan::Kind::kLost;
  } else {
    return false;
  }
  *plan = result;
  return true;
}

}  // namespace ft::simdevice
