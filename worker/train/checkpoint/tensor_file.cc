#include "worker/train/checkpoint/tensor_file.h"

#include "worker/device/staging.h"

namespace ft::checkpoint {

std::vector<NamedTensor> ValuesOf(const params::ParameterStore& store) {
  std::vector<NamedTensor> tensors;
  for (int i = 0; i < store.size(); ++i) tensors.push_back({store.name(i), store.value(i)});
  return tensors;
}

StatusOr<std::string> WriteTensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                                   const weights::SafetensorsWriter::Metadata& metadata,
                                   const weights::SafetensorsWriter::Progress& progress) {
  std::vector<weights::TensorInfo> infos;
  for (const auto& [name, tensor] : tensors)
    infos.push_back({name, weights::DType::kF32, tensor.sizes().vec()});
  ASSIGN_OR_RETURN(weights::SafetensorsWriter writer,
                   weights::SafetensorsWriter::Create(path, infos, metadata, progress));
  for (const auto& [name, tensor] : tensors) {
    const torch::Tensor host = device::Download(tensor);
    RETURN_IF_ERROR(writer.Append(device::HostBytes(host)));
  }
  return writer.Finish();
}

Status ReadTensor(const weights::SafetensorsFile& file, const NamedTensor& to) {
  const weights::TensorInfo* info = file.Find(to.name);
  if (info == nullptr || info->dtype != weights::DType::kF32 || info->shape != to.tensor.sizes().vec()) {
    return absl::DataLossError(
        StrCat("the checkpoint has no fp32 tensor '", to.name, "' of the shape this job trains"));
  }
  return device::FillFromHost(to.tensor,
                              [&](std::span<std::byte> bytes) { return file.ReadBytes(*info, bytes); });
}

}  // namespace ft::checkpoint
