// The simulated accelerator enters LibTorch as CUDA itself, when this library is loaded: allocator, device guard and hooks. LibTorch
// looks for its hooks once, so that must be before its first call; and libtorch_cuda may not be in the process.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "tests/simdevice/allocators.h"
#include "tests/simdevice/current.h"
#include "tests/simdevice/runtime/pinned.h"

namespace ft::simdevice {
namespace {

struct Guard final : c10::impl::DeviceGuardImplInterface {
  static c10::Device Name(c10::DeviceIndex index) { return {kType, index}; }
  static Event*& EventOf(void*& event) { return reinterpret_cast<Event*&>(event); }
  // "cuda" without a number is the current device.
  static Device& At(c10::Device device) {
    return Device::At(device.has_index() ? device.index() : CurrentDevice());
  }

  c10::DeviceType type() const override { return kType; }
  c10::Device exchangeDevice(c10::Device device) const override {
    return Name(ExchangeDevice(device.index()));
  }
  c10::Device getDevice() const override { return Name(CurrentDevice()); }
  void setDevice(c10::Device device) const override { ExchangeDevice(device.index()); }
  void uncheckedSetDevice(c10::Device device) const noexcept override { ExchangeDevice(device.index()); }
  c10::DeviceIndex deviceCount() const noexcept override {
    return static_cast<c10::DeviceIndex>(Device::Count());
  }
  void synchronizeDevice(const c10::DeviceIndex index) const override {
    Check(Device::At(index).SynchronizeDevice());
  }

  c10::Stream getStream(c10::Device device) const override { return Named(CurrentStream(At(device))); }
  c10::Stream getDefaultStream(c10::Device device) const override {
    return Named(At(device).default_stream());
  }
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool) const override {
    return Named(At(device).PoolStream());
  }
  c10::Stream getNewStream(c10::Device device, int) const override { return Named(At(device).PoolStream()); }
  c10::Stream exchangeStream(c10::Stream stream) const override { return Named(ExchangeStream(Of(stream))); }
  bool queryStream(const c10::Stream& stream) const override {
    const bool done = Of(stream).device().Query(Of(stream));
    Check(Of(stream).device().fault());
    return done;
  }
  void synchronizeStream(const c10::Stream& stream) const override {
    Check(Of(stream).device().Synchronize(Of(stream)));
  }

  void record(void** event, const c10::Stream& stream, const c10::DeviceIndex,
              const c10::EventFlag) const override {
    if (*event == nullptr) *event = new Event;
    Check(Of(stream).device().Record(*EventOf(*event), Of(stream)));
  }
  void block(void* event, const c10::Stream& stream) const override {
    if (event != nullptr) Check(Of(stream).device().Wait(Of(stream), *EventOf(event)));
  }
  bool queryEvent(void* event) const override {
    if (event == nullptr || EventOf(event)->stream == nullptr) return true;
    const bool done = Device::Query(*EventOf(event));
    Check(EventOf(event)->stream->device().fault());
    return done;
  }
  void synchronizeEvent(void* event) const override {
    if (event != nullptr) Check(Device::Synchronize(*EventOf(event)));
  }
  void destroyEvent(void* event, const c10::DeviceIndex) const noexcept override { delete EventOf(event); }
  void recordDataPtrOnStream(const c10::DataPtr& data, const c10::Stream& stream) const override {
    DeviceMemoryAllocator().recordStream(data, stream);
  }
};

struct Hooks final : at::CUDAHooksInterface {
  explicit Hooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  int getNumGPUs() const override { return Device::Count(); }
  c10::DeviceIndex deviceCount() const override { return static_cast<c10::DeviceIndex>(Device::Count()); }
  c10::DeviceIndex current_device() const override { return CurrentDevice(); }
  c10::DeviceIndex getCurrentDevice() const override { return CurrentDevice(); }
  void setCurrentDevice(c10::DeviceIndex index) const override { ExchangeDevice(index); }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex index) const override {
    return index < 0 ? index : ExchangeDevice(index);
  }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex index) const override {
    return exchangeDevice(index);
  }
  void deviceSynchronize(c10::DeviceIndex index) const override {
    Check(Device::At(index).SynchronizeDevice());
  }
  bool isPinnedPtr(const void* data) const override { return IsPinned(data); }
  at::Allocator* getPinnedMemoryAllocator() const override { return &PinnedMemoryAllocator(); }
  at::Allocator* getCUDADeviceAllocator() const override { return &DeviceMemoryAllocator(); }
  at::Device getDeviceFromPtr(void* data) const override {
    const Device* device = Device::Of(data);
    TORCH_CHECK(device != nullptr,
                "The specified pointer resides on host memory and is not registered with any CUDA device.");
    return Guard::Name(static_cast<c10::DeviceIndex>(device->index()));
  }
  // torch::manual_seed asks for it. Nothing is drawn on a device.
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    static const at::Generator generator = at::detail::createCPUGenerator();
    return generator;
  }
};

std::unique_ptr<at::CUDAHooksInterface> MakeHooks(at::CUDAHooksArgs arguments) {
  return std::make_unique<Hooks>(arguments);
}

[[maybe_unused]] const bool registered = [] {
  c10::SetAllocator(kType, &DeviceMemoryAllocator(), 1);
  static const c10::impl::DeviceGuardImplRegistrar guard(kType, new Guard);
  at::CUDAHooksRegistry()->Register("CUDAHooks", &MakeHooks);
  return true;
}();

}  // namespace
}  // namespace ft::simdevice
