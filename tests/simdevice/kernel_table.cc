// The table that libft_cuda.so exports (worker/train/cuda/table.h), answered by the kernels' bodies on the host (kernels/grid/grid.h), in
// the order of the stream. A body is looked at when it is launched: each of its pointers must be null or lie in memory of the stream's
// device that nobody freed.
#include "worker/train/cuda/table.h"

#include <cstdlib>

#include "tests/simdevice/current.h"
#include "tests/simdevice/fake_nccl.h"

namespace ft::simdevice {
namespace {

Error Refusal(const Device& device, const void* pointer) {
  if (pointer == nullptr) return kNone;
  const Device* owner = Device::Of(pointer);
  if (owner == nullptr) return kHostPointer;
  if (owner != &device) return kOtherDevice;
  return device.IsLive(pointer) ? kNone : kFreedMemory;
}

template <typename Body>
int Launch(const Body& body, void* stream_address) {
  Stream& stream = *static_cast<Stream*>(stream_address);
  Device& device = stream.device();
  if (body.Blocks() == 0) return kNone;
  Body host = body;
  Error error = kNone;
  host.Pointers([&](auto*& pointer) {
    using Value = std::remove_pointer_t<std::remove_reference_t<decltype(pointer)>>;
    if (error == kNone) error = Refusal(device, pointer);
    if (error == kNone && pointer != nullptr) pointer = reinterpret_cast<Value*>(device.Host(pointer));
  });
  if (error != kNone) return error;
  return device.Launch(stream, [host] { kernels::Emulate(host); });
}

template <typename T>
ops::KernelsOf<T> Kernels() {
  return {.nf4_dequantise = Launch<kernels::Nf4DequantiseBody<T>>,
          .dropout = Launch<kernels::DropoutBody<T>>,
          .rope = Launch<kernels::RopeBody<T>>,
          .rms_norm_forward = Launch<kernels::RmsNormForwardBody<T>>,
          .rms_norm_backward = Launch<kernels::RmsNormBackwardBody<T>>,
          .rms_norm_weight_gradient = Launch<kernels::RmsNormWeightGradientBody<T>>,
          .column_sum = Launch<kernels::ColumnSumBody<T>>,
          .swiglu_forward = Launch<kernels::SwigluForwardBody<T>>,
          .swiglu_backward = Launch<kernels::SwigluBackwardBody<T>>,
          .cross_entropy = Launch<kernels::CrossEntropyBody<T>>};
}

void* CurrentStreamAddress() { return &CurrentStream(Device::At(CurrentDevice())); }

const ops::KernelTable& SimulatedKernels() {
  static const ops::KernelTable kernels{.f32 = Kernels<float>(),
                                        .bf16 = Kernels<kernels::BF16>(),
                                        .nf4_quantise = Launch<kernels::Nf4QuantiseBody>,
                                        .nested_dequantise = Launch<kernels::NestedDequantiseBody>,
                                        .swiglu_forward_rounded = Launch<kernels::SwigluForwardRoundedBody>,
                                        .sums_of_squares = Launch<kernels::SumsOfSquaresBody>,
                                        .sha256 = Launch<kernels::Sha256Body>,
                                        .tree_add = Launch<kernels::TreeAddBody>,
                                        .adamw_8bit = Launch<kernels::AdamW8bitBody>,
                                        .current_stream = CurrentStreamAddress,
                                        .multiplies_bf16 = [] { return true; },
                                        .error_text = ErrorText};
  return kernels;
}

void SetMemoryShare(int index, double share) {
  Device& device = Device::At(index);
  device.set_capacity(static_cast<size_t>(share * static_cast<double>(EnvironmentSettings().memory)));
}

// Deterministic flash attention behaves as on a card of so many multiprocessors (flash_attention.cc).
cuda::DeviceDescription Describe(int index) {
  // A card of its own for each name that an agent gives, but one for all slices.
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  const std::string name = visible == nullptr ? "" : visible;
  return {.name = "simulated accelerator",
          .major = 9,
          .minor = 0,
          .multiprocessors = kMultiprocessors,
          .memory_bytes = static_cast<int64_t>(EnvironmentSettings().memory),
          .libraries = "simulated",
          .bus = (name.starts_with("MIG-") ? "slices" : name) + ":" + std::to_string(index)};
}

}  // namespace
}  // namespace ft::simdevice

extern "C" __attribute__((visibility("default"))) const ft::cuda::Table* FtCudaTable() {
  static const ft::cuda::Table table{.version = ft::cuda::kTableVersion,
                                     .kernels = &ft::simdevice::SimulatedKernels(),
                                     .check_driver = [] { return std::string(); },
                                     .set_memory_share = ft::simdevice::SetMemoryShare,
                                     .describe = ft::simdevice::Describe,
                                     .nccl = &ft::simdevice::FakeNccl()};
  return &table;
}
