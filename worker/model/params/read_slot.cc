#include "worker/model/params/read_slot.h"

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "worker/device/staging.h"
#include "worker/model/params/bnb_checkpoint.h"
#include "worker/model/params/int8_slot.h"
#include "worker/model/params/nf4_slot.h"
#include "worker/model/params/read_nf4.h"
#include "worker/model/params/resident_slot.h"
#include "worker/model/weights/tensor_table.h"

namespace ft::params {

StatusOr<torch::Tensor> ReadTensor(const weights::TensorSource& source, const weights::TensorInfo& info) {
  torch::Tensor tensor = torch::empty(info.shape, torch::kFloat);
  RETURN_IF_ERROR(weights::ReadFloat32(source, info, {tensor.mutable_data_ptr<float>(), info.elements()}));
  return tensor;
}

namespace {

// Whether the values of `dtype` are `type`'s own.
bool IsOf(weights::DType dtype, at::ScalarType type) {
  return (dtype == weights::DType::kBF16 && type == at::kBFloat16) ||
         (dtype == weights::DType::kF16 && type == at::kHalf);
}

// Without the float32 values on the way, which are three times a table's bytes while they are there: tables are the largest tensors,
// and what loading a model takes at most would be theirs.
StatusOr<torch::Tensor> ReadAsStored(const weights::TensorSource& source, const weights::TensorInfo& info,
                                     at::ScalarType type) {
  torch::Tensor tensor = torch::empty(info.shape, type);
  const std::span<std::byte> bytes(static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes());
  RETURN_IF_ERROR(source.ReadBytes(info, bytes));
  return tensor;
}

}  // namespace

StatusOr<ops::SlotPtr> ReadFrozenSlot(const weights::TensorSource& source, const weights::TensorInfo& info,
                                      std::string name, const FrozenPolicy& policy) {
  if (IsBnb4(source, info.name)) {
    StatusOr<ops::Nf4Tensor> tensor = ReadBnbNf4(source, info.name);
    if (tensor.ok())
      return std::make_shared<Nf4Slot>(std::move(name), ops::ToDevice(*std::move(tensor), policy.device));
    if (!absl::IsUnimplemented(tensor.status())) return tensor.status();
    // Another kind of 4 bits stays what it is: quantising it once more would change it.
    ASSIGN_OR_RETURN(const torch::Tensor value, DequantiseBnb(source, info.name));
    return std::make_shared<ResidentSlot>(std::move(name),
                                          device::Upload(value, policy.device).to(policy.stored));
  }
  if (policy.kind == BaseKind::kStored && info.shape.size() > 1 && IsOf(info.dtype, policy.stored)) {
    ASSIGN_OR_RETURN(const torch::Tensor value, ReadAsStored(source, info, policy.stored));
    return std::make_shared<ResidentSlot>(std::move(name), device::Upload(value, policy.device));
  }
  if (policy.kind == BaseKind::kNf4 && policy.device.is_cpu()) {
    ASSIGN_OR_RETURN(ops::Nf4Tensor tensor, ReadNf4(source, info));
    return std::make_shared<Nf4Slot>(std::move(name), std::move(tensor));
  }
  ASSIGN_OR_RETURN(const torch::Tensor read, ReadTensor(source, info));
  const torch::Tensor value = device::Upload(read, policy.device);
  if (policy.kind == BaseKind::kInt8)
    return std::make_shared<Int8Slot>(std::move(name), ops::QuantiseInt8(value));
  if (policy.kind == BaseKind::kNf4)
    return std::make_shared<Nf4Slot>(std::move(name), ops::QuantiseNf4(value));
  // Norms and biases are a thousandth of the bytes, and rounding them to bfloat16 up to half of its error.
  return std::make_shared<ResidentSlot>(std::move(name), value.dim() == 1 ? value : value.to(policy.stored));
}

StatusOr<ops::SlotPtr> ReadTrainedSlot(const weights::TensorSource& source, const weights::TensorInfo& info,
                                       ParameterStore& store, int index, at::ScalarType cast_dtype) {
  if (IsBnb4(source, info.name)) {
    return absl::InvalidArgumentError(
        StrCat("tensor ", info.name, " is stored in 4 bits and cannot be trained: use method qlora"));
  }
  ASSIGN_OR_RETURN(const torch::Tensor value, ReadTensor(source, info));
  store.SetValue(index, value);
  return std::make_shared<TrainedSlot>(store, index, value.dim() == 1 ? at::kFloat : cast_dtype);
}

Status ReadValues(const weights::TensorSource& source, ParameterStore& store) {
  std::vector<torch::Tensor> values;
  for (int i = 0; i < store.size(); ++i) {
    const weights::TensorInfo* info = source.Find(store.name(i));
    if (info == nullptr) return absl::InvalidArgumentError(StrCat("there is no tensor ", store.name(i)));
    const std::vector<int64_t>& shape = store.range(i).tensor.shape;
    if (info->shape != shape) {
      return absl::InvalidArgumentError(StrCat("tensor ", info->name, " has shape ",
                                               weights::ShapeText(info->shape), ", the model wants ",
                                               weights::ShapeText(shape)));
    }
    ASSIGN_OR_RETURN(values.emplace_back(), ReadTensor(source, *info));
  }
  for (const weights::TensorInfo& info : source.tensors()) {
    if (store.Find(info.name) < 0)
      return absl::InvalidArgumentError(StrCat("tensor ", info.name, " has no place in this model"));
  }
  for (int i = 0; i < store.size(); ++i) store.SetValue(i, values[static_cast<size_t>(i)]);
  store.ValuesChanged();
  return absl::OkStatus();
}

}  // namespace ft::params
