#include "tests/simdevice/current.h"

#include <array>
#include <string>

namespace ft::simdevice {
namespace {

constexpr size_t kMostDevices = 8;

thread_local c10::DeviceIndex current_device = 0;
thread_local std::array<Stream*, kMostDevices> current_streams = {};

Stream*& Slot(Device& device) {
  Stream*& slot = current_streams[static_cast<size_t>(device.index())];
  if (slot == nullptr) slot = &device.default_stream();
  return slot;
}

}  // namespace

c10::DeviceIndex CurrentDevice() { return current_device; }

c10::DeviceIndex ExchangeDevice(c10::DeviceIndex index) {
  TORCH_CHECK(index >= 0 && index < Device::Count(), "CUDA error: invalid device ordinal ",
              static_cast<int>(index));
  return std::exchange(current_device, index);
}

Stream& CurrentStream(Device& device) { return *Slot(device); }

Stream& ExchangeStream(Stream& stream) { return *std::exchange(Slot(stream.device()), &stream); }

c10::Stream Named(const Stream& stream) {
  const auto index = static_cast<c10::DeviceIndex>(stream.device().index());
  return c10::Stream(c10::Stream::UNSAFE, c10::Device(kType, index), stream.id());
}

Stream& Of(const c10::Stream& stream) {
  return Device::At(stream.device_index()).stream(static_cast<int>(stream.id()));
}

Device& DeviceOf(const at::Tensor& tensor) { return Device::At(tensor.device().index()); }

void Check(Error error) {
  if (error == kNone) return;
  throw c10::AcceleratorError({__func__, __FILE__, static_cast<uint32_t>(__LINE__)}, error,
                              std::string("CUDA error: ") + ErrorText(error));
}

}  // namespace ft::simdevice
