// What tests of the simulated device share.
#pragma once

#include <torch/types.h>

#include <string>

#include "tests/simdevice/current.h"

namespace ft::simdevice {

inline at::Device Gpu(c10::DeviceIndex index = 0) { return at::Device(at::kCUDA, index); }

inline torch::Tensor Pinned(const torch::Tensor& values) {
  const torch::Tensor pinned = torch::empty(values.sizes(), values.options().pinned_memory(true));
  return pinned.copy_(values);
}

inline c10::Stream OtherStream() { return c10::impl::VirtualGuardImpl(at::kCUDA).getNewStream(Gpu(), 0); }
inline c10::Stream MainStream() { return c10::impl::VirtualGuardImpl(at::kCUDA).getStream(Gpu()); }

// For tests of what goes wrong only where work is late; the schedule of the run comes back afterwards.
class Lazily {
 public:
  Lazily() { Device::SetSchedule(Schedule::kLazy); }
  ~Lazily() { Device::SetSchedule(before_, EnvironmentSettings().seed); }

 private:
  const Schedule before_ = Device::schedule();
};

// What `call` throws, or nothing.
template <typename Call>
std::string Thrown(Call call) {
  try {
    call();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

}  // namespace ft::simdevice
