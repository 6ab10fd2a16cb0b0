#include "tests/simdevice/fallback.h"

#include <ATen/native/CPUFallback.h>

#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/simdevice/current.h"
#include "tests/simdevice/host_view.h"

namespace ft::simdevice {
namespace {

using at::Tensor;
using c10::IValue;
using torch::jit::Stack;

struct Counts {
  std::mutex mutex;  // Guards `by_name`.
  std::map<std::string, FallbackCount> by_name;
};

Counts& AllCounts() {
  static auto* counts = new Counts;
  return *counts;
}

std::string NameOf(const c10::OperatorHandle& op) { return c10::toString(op.operator_name()); }

// `value` with every tensor in it replaced by change(tensor).
template <typename Change>
IValue MapTensors(const IValue& value, Change change) {
  if (value.isTensor()) return change(value.toTensor());
  if (value.isTensorList()) {
    c10::List<Tensor> list;
    for (const Tensor& tensor : value.toTensorVector()) list.push_back(change(tensor));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<Tensor>> list;
    for (const std::optional<Tensor>& tensor : value.toOptionalTensorVector()) {
      list.push_back(tensor ? std::optional(change(*tensor)) : std::nullopt);
    }
    return list;
  }
  return value;
}

template <typename Each>
void ForTensors(const IValue& value, Each each) {
  MapTensors(value, [&](const Tensor& tensor) {
    if (tensor.defined()) each(tensor);
    return tensor;
  });
}

bool IsWritten(const c10::Argument& argument) {
  return argument.alias_info() != nullptr && argument.alias_info()->isWrite();
}

bool TakesHostIndices(const std::string& name) {
  static const std::set<std::string, std::less<>> names = {
      "aten::index.Tensor",  "aten::index.Tensor_out", "aten::index_put_",
      "aten::index_put.out", "aten::_index_put_impl_", "aten::_index_put_impl.out"};
  return names.contains(name);
}

// Numbers of a GPU's generator are others than those of the host's, so what is drawn must not depend on the device.
void RefuseToDraw(const c10::OperatorHandle& op) {
  for (const c10::Argument& argument : op.schema().arguments()) {
    TORCH_CHECK_NOT_IMPLEMENTED(argument.name() != "generator", NameOf(op),
                                ": the simulated device draws no random numbers; draw on the host and copy");
  }
}

// The device of the operator's tensors; null where it has none. Throws where they lie in different places.
Device* OneDevice(const c10::OperatorHandle& op, const Stack& arguments) {
  const std::string name = NameOf(op);
  const bool indices = TakesHostIndices(name);
  // The kernel of the fused optimizers reads its step counts through pointers, a number or not.
  const bool numbers = !name.starts_with("aten::_fused_");
  std::optional<at::Device> place;
  for (const IValue& value : arguments) {
    ForTensors(value, [&](const Tensor& tensor) {
      if (tensor.device().type() == kType && !place) place = tensor.device();
    });
  }
  if (!place) return nullptr;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const bool written = IsWritten(op.schema().arguments()[i]);
    ForTensors(arguments[i], [&](const Tensor& tensor) {
      const bool is_number = tensor.is_cpu() && tensor.dim() == 0 && numbers && !written;
      const bool is_index = tensor.is_cpu() && indices && arguments[i].isOptionalTensorList();
      TORCH_CHECK(tensor.device() == *place || is_number || is_index, name,
                  ": Expected all tensors to be on the same device, but found at least two devices, ", *place,
                  " and ", tensor.device(), "!");
    });
  }
  return &Device::At(place->index());
}

Tensor OnMeta(const Tensor& tensor) {
  if (!tensor.defined()) return tensor;
  const Tensor meta = at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().device(at::kMeta));
  KeepNumber(tensor, meta);
  return meta;
}

// Sizes of operators that the trainer uses and that have no Meta kernel.
std::optional<Stack> KnownResults(const std::string& name, const Stack& inputs) {
  if (name == "aten::index_select") {
    const Tensor self = inputs[0].toTensor(), index = inputs[2].toTensor();
    if (self.dim() == 0 || index.dim() > 1) return std::nullopt;
    std::vector<int64_t> sizes = self.sizes().vec();
    sizes[static_cast<size_t>(at::maybe_wrap_dim(inputs[1].toInt(), self.dim()))] = index.numel();
    return Stack{at::empty(sizes, self.options())};
  }
  if (name == "aten::embedding_dense_backward") {
    const Tensor gradient = inputs[0].toTensor();
    if (gradient.dim() == 0) return std::nullopt;
    return Stack{at::empty({inputs[2].toInt(), gradient.size(-1)}, gradient.options())};
  }
  return std::nullopt;
}

// What the operator would leave behind on the Meta device: `inputs` become its arguments there, some of them resized. Nothing where
// LibTorch cannot say without the values, or the call is wrong: the CPU kernel then says how.
std::optional<Stack> ResultsOnMeta(const c10::OperatorHandle& op, const Stack& inputs) {
  if (std::optional<Stack> known = KnownResults(NameOf(op), inputs)) return known;
  if (!op.hasComputedKernelForDispatchKey(c10::DispatchKey::Meta)) return std::nullopt;
  Stack results = inputs;
  try {
    const WorkScope scope;
    op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::Meta), &results);
  } catch (const c10::Error&) {
    return std::nullopt;
  }
  return results;
}

// A call that waits for its stream.
struct Call {
  Stack host_arguments;
  Stack results;                     // What the caller gets.
  std::vector<IValue> host_results;  // Where the CPU kernel's results go; none for what is written in place.
};

// The argument that a result is, for operators that write in place; -1 for a result that is made.
int AliasedArgument(const c10::FunctionSchema& schema, const c10::Argument& result) {
  if (result.alias_info() == nullptr) return -1;
  for (size_t i = 0; i < schema.arguments().size(); ++i) {
    const c10::AliasInfo* alias = schema.arguments()[i].alias_info();
    if (alias != nullptr && *alias == *result.alias_info()) return static_cast<int>(i);
  }
  return -1;
}

// Neither numbers nor views.
bool MakesOnlyTensors(const c10::FunctionSchema& schema) {
  for (const c10::Argument& result : schema.returns()) {
    if (result.alias_info() != nullptr && !result.alias_info()->isWrite()) return false;
    const bool tensors = result.type()->isSubtypeOf(*c10::TensorType::get()) ||
                         result.type()->isSubtypeOf(*c10::ListType::ofTensors());
    if (!tensors) return false;
  }
  return true;
}

// Whether sizes must be asked for: something is made, or may be resized.
bool NeedsSizes(const c10::FunctionSchema& schema) {
  for (const c10::Argument& argument : schema.arguments()) {
    if (argument.is_out()) return true;
  }
  for (const c10::Argument& result : schema.returns()) {
    if (AliasedArgument(schema, result) < 0) return true;
  }
  return false;
}

Tensor MakeLike(const Tensor& meta, at::Device device) {
  if (!meta.defined()) return meta;
  return at::empty_strided(meta.sizes(), meta.strides(), meta.options().device(device));
}

void ResizeOutputs(const c10::FunctionSchema& schema, const Stack& arguments, const Stack& on_meta) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!schema.arguments()[i].is_out() || !arguments[i].isTensor()) continue;
    const Tensor out = arguments[i].toTensor(), wanted = on_meta[i].toTensor();
    if (out.sizes() != wanted.sizes()) out.resize_(wanted.sizes());
  }
}

// Numbers and indices of the host are taken as they are now, as a launch takes them.
Stack HostArguments(const Stack& arguments) {
  std::vector<std::pair<const c10::TensorImpl*, Tensor>> seen;  // One view of a tensor that is given twice.
  Stack result;
  for (const IValue& value : arguments) {
    result.push_back(MapTensors(value, [&](const Tensor& tensor) -> Tensor {
      if (!tensor.defined()) return tensor;
      for (const auto& [impl, view] : seen) {
        if (impl == tensor.unsafeGetTensorImpl()) return view;
      }
      const Tensor view = tensor.is_cpu() ? tensor.clone() : HostView(tensor);
      KeepNumber(tensor, view);
      seen.emplace_back(tensor.unsafeGetTensorImpl(), view);
      return view;
    }));
  }
  return result;
}

// The call, with its results made; nothing where the host has to wait for them.
std::optional<Call> Prepare(const c10::OperatorHandle& op, const Stack& arguments, const Device& device) {
  const c10::FunctionSchema& schema = op.schema();
  if (!MakesOnlyTensors(schema)) return std::nullopt;
  if (!op.hasComputedKernelForDispatchKey(c10::DispatchKey::CPU)) return std::nullopt;
  Stack on_meta;
  std::optional<Stack> results;
  if (NeedsSizes(schema)) {
    for (const IValue& value : arguments) on_meta.push_back(MapTensors(value, OnMeta));
    results = ResultsOnMeta(op, on_meta);
    if (!results) return std::nullopt;
    ResizeOutputs(schema, arguments, on_meta);
  }
  const at::Device place(kType, static_cast<c10::DeviceIndex>(device.index()));
  Call call{HostArguments(arguments), {}, {}};
  for (size_t i = 0; i < schema.returns().size(); ++i) {
    const int aliased = AliasedArgument(schema, schema.returns()[i]);
    if (aliased >= 0) {
      call.results.push_back(arguments[static_cast<size_t>(aliased)]);
      call.host_results.emplace_back();
    } else {
      call.results.push_back(
          MapTensors((*results)[i], [&](const Tensor& meta) { return MakeLike(meta, place); }));
      call.host_results.push_back(MapTensors(call.results.back(), HostView));
    }
  }
  return call;
}

// What the CPU kernel made goes to where the caller looks for it.
void Deliver(const IValue& made, const IValue& target) {
  if (target.isTensor() && target.toTensor().defined()) target.toTensor().copy_(made.toTensor());
  if (!target.isTensorList()) return;
  const std::vector<Tensor> from = made.toTensorVector(), to = target.toTensorVector();
  for (size_t i = 0; i < to.size(); ++i) to[i].copy_(from[i]);
}

void Count(const c10::OperatorHandle& op, int64_t FallbackCount::*how) {
  const std::lock_guard lock(AllCounts().mutex);
  ++(AllCounts().by_name[NameOf(op)].*how);
}

}  // namespace

void Fallback(const c10::OperatorHandle& op, Stack* stack) {
  RefuseToDraw(op);
  const size_t count = op.schema().arguments().size();
  const Stack arguments(stack->end() - static_cast<std::ptrdiff_t>(count), stack->end());
  Device* device = OneDevice(op, arguments);
  std::optional<Call> call;
  if (device != nullptr) call = Prepare(op, arguments, *device);
  if (!call) {
    Count(op, &FallbackCount::waited);
    return at::native::cpu_fallback(op, stack, /*error_on_views=*/true);
  }
  Count(op, &FallbackCount::given);
  torch::jit::drop(*stack, count);
  for (IValue& result : call->results) stack->push_back(std::move(result));
  const auto run = [op, host = std::move(call->host_arguments), targets = std::move(call->host_results)] {
    const WorkScope scope;
    Stack made = host;
    op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), &made);
    for (size_t i = 0; i < targets.size(); ++i) Deliver(made[i], targets[i]);
  };
  Check(device->Launch(CurrentStream(*device), run));
}

std::map<std::string, FallbackCount> FallbackCounts() {
  const std::lock_guard lock(AllCounts().mutex);
  return AllCounts().by_name;
}

}  // namespace ft::simdevice
