// What an exception that LibTorch or a driver threw says of the device.
#pragma once

#include <exception>
#include <optional>
#include <string>

namespace ft::device {

enum class FaultKind {
  kOutOfMemory,  // The device has no room; it works on.
  kUnusable,     // No such device, or not for this build: another job would fare alike.
  kFault,        // The device failed, or a kernel did; the process can do no more with it.
};

struct Fault {
  FaultKind kind;
  std::string message;  // The first line of what was said.
};

// Nothing where the exception is none of a device. Codes are CUDA's (cudaError_t, driver_types.h).
std::optional<Fault> FaultOf(const std::exception& error);

}  // namespace ft::device
