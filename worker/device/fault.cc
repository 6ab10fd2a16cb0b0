#include "worker/device/fault.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace ft::device {
namespace {

constexpr int kMemoryAllocation = 2;
// Devices unavailable, no device, invalid device.
constexpr std::array kUnusable = {46, 100, 101};

std::string FirstLine(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

FaultKind KindOf(int code) {
  if (code == kMemoryAllocation) return FaultKind::kOutOfMemory;
  const bool unusable = std::find(kUnusable.begin(), kUnusable.end(), code) != kUnusable.end();
  return unusable ? FaultKind::kUnusable : FaultKind::kFault;
}

// cuBLAS and cuDNN throw plain errors with their status by name.
std::optional<FaultKind> KindOf(std::string_view text) {
  const auto says = [&](std::string_view what) { return text.find(what) != std::string_view::npos; };
  if (says("CUBLAS_STATUS_ALLOC_FAILED") || says("CUBLAS_STATUS_NOT_INITIALIZED") ||
      says("CUDNN_STATUS_ALLOC_FAILED"))
    return FaultKind::kOutOfMemory;
  if (says("CUBLAS_STATUS_EXECUTION_FAILED") || says("CUDNN_STATUS_EXECUTION_FAILED"))
    return FaultKind::kFault;
  return std::nullopt;
}

}  // namespace

std::optional<Fault> FaultOf(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string text =
      FirstLine(torch_error == nullptr ? error.what() : torch_error->what_without_backtrace());
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr)
    return Fault{FaultKind::kOutOfMemory, text};
  if (const auto* accelerator = dynamic_cast<const c10::AcceleratorError*>(&error))
    return Fault{KindOf(accelerator->get_error_code()), text};
  if (const std::optional<FaultKind> kind = KindOf(text)) return Fault{*kind, text};
  return std::nullopt;
}

}  // namespace ft::device
