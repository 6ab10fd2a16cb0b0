// Which simulated device and streams a thread works with, as LibTorch's guards set them, and the bridge between LibTorch's names of
// devices and streams and the runtime's. Every thread begins with device 0 and the default streams.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/Stream.h>
#include <torch/types.h>

#include "tests/simdevice/runtime/device.h"

namespace ft::simdevice {

inline constexpr c10::DeviceType kType = c10::DeviceType::CUDA;
inline constexpr c10::DispatchKey kKey = c10::DispatchKey::CUDA;

c10::DeviceIndex CurrentDevice();
// Returns the one before. Throws for a device that is not there.
c10::DeviceIndex ExchangeDevice(c10::DeviceIndex index);

Stream& CurrentStream(Device& device);
Stream& ExchangeStream(Stream& stream);

c10::Stream Named(const Stream& stream);
Stream& Of(const c10::Stream& stream);
// The device of a tensor that lies on one.
Device& DeviceOf(const at::Tensor& tensor);

// Throws c10::AcceleratorError with the error's code and text, as LibTorch does where CUDA answers so; nothing for kNone.
void Check(Error error);

}  // namespace ft::simdevice
