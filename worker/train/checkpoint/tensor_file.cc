#include "worker/train/checkpoint/tensor_file.h"

#include <utility>

#include "core/base/check.h"
#include "worker/device/staging.h"

namespace ft::checkpoint {

ReadValue OwnValues(const params::ParameterStore& store) {
  return [&store](int index) -> StatusOr<torch::Tensor> { return store.value(index); };
}

PendingTensor Pending(NamedTensor tensor) {
  std::vector<int64_t> shape = tensor.tensor.sizes().vec();
  return {std::move(tensor.name), std::move(shape),
          [ready = std::move(tensor.tensor)]() -> StatusOr<torch::Tensor> { return ready; }};
}

std::vector<PendingTensor> ValuesOf(const params::ParameterStore& store, const ReadValue& read) {
  std::vector<PendingTensor> tensors;
  for (int i = 0; i < store.size(); ++i)
    tensors.push_back({store.name(i), store.range(i).tensor.shape, [read, i] { return read(i); }});
  return tensors;
}

StatusOr<std::string> WriteTensors(const std::filesystem::path& path,
                                   const std::vector<PendingTensor>& tensors,
                                   const weights::SafetensorsWriter::Metadata& metadata,
                                   const weights::SafetensorsWriter::Progress& progress) {
  std::vector<weights::TensorInfo> infos;
  for (const PendingTensor& tensor : tensors)
    infos.push_back({tensor.name, weights::DType::kF32, tensor.shape});
  ASSIGN_OR_RETURN(weights::SafetensorsWriter writer,
                   weights::SafetensorsWriter::Create(path, infos, metadata, progress));
  for (const PendingTensor& tensor : tensors) {
    ASSIGN_OR_RETURN(const torch::Tensor made, tensor.make());
    const torch::Tensor host = device::Download(made);
    RETURN_IF_ERROR(writer.Append(device::HostBytes(host)));
  }
  return writer.Finish();
}

weights::DType DTypeOf(at::ScalarType type) {
  FT_CHECK(type == at::kFloat || type == at::kByte) << c10::toString(type);
  return type == at::kFloat ? weights::DType::kF32 : weights::DType::kU8;
}

StatusOr<const weights::TensorInfo*> FindTensor(const weights::SafetensorsFile& file,
                                                const weights::TensorInfo& wanted) {
  const weights::TensorInfo* info = file.Find(wanted.name);
  if (info == nullptr || info->dtype != wanted.dtype || info->shape != wanted.shape) {
    return absl::DataLossError(StrCat("the checkpoint has no ", weights::Name(wanted.dtype), " tensor '",
                                      wanted.name, "' of the shape this job trains"));
  }
  return info;
}

}  // namespace ft::checkpoint
