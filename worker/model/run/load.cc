#include "worker/model/run/load.h"

#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "core/base/check.h"
#include "worker/model/decoder/family.h"
#include "worker/model/params/bnb_checkpoint.h"
#include "worker/model/params/nf4_slot.h"
#include "worker/model/weights/quantization.h"
#include "worker/model/weights/tensor_table.h"

namespace ft::run {
namespace {

// Stored tensors by canonical name; what carries no weight is left out.
std::map<std::string, const weights::TensorInfo*> ByCanonicalName(const model::DecoderConfig& config,
                                                                  const weights::TensorSource& source) {
  std::map<std::string, const weights::TensorInfo*> found;
  for (const weights::TensorInfo& info : source.tensors()) {
    if (quant::IsBnbCompanion(info.name)) continue;
    const std::string name = model::CanonicalName(config, info.name);
    if (!name.empty()) found[name] = &info;
  }
  return found;
}

// Whether a tensor of this canonical name would change what the decoder computes if the decoder knew it.
bool IsWithinDecoder(const model::DecoderConfig& config, std::string_view name) {
  for (const std::string_view part : {"model.embed_tokens.", "model.norm.", "lm_head."}) {
    if (name.starts_with(part)) return true;
  }
  constexpr std::string_view kLayers = "model.layers.";
  if (!name.starts_with(kLayers)) return false;
  int64_t layer = 0;
  const char* begin = name.data() + kLayers.size();
  const auto [end, error] = std::from_chars(begin, name.data() + name.size(), layer);
  return error != std::errc() || layer < config.layers;
}

std::set<std::string> ExpectedNames(const model::DecoderConfig& config) {
  std::set<std::string> names;
  for (const model::ExpectedWeight& weight : model::ExpectedWeights(config)) names.insert(weight.name);
  return names;
}

Status RefusePacked(const weights::TensorSource& source, const std::string& name) {
  const std::string_view packing = weights::PackingOfWeight(source, name);
  if (packing.empty()) return absl::OkStatus();
  return absl::UnimplementedError(StrCat("tensor ", name, " is stored as ", packing,
                                         ", which is not read by this version", weights::TakeUnquantised()));
}

Status CheckNames(const model::DecoderConfig& config, const std::vector<model::ExpectedWeight>& expected,
                  const std::map<std::string, const weights::TensorInfo*>& found,
                  const weights::TensorSource& source) {
  const std::set<std::string> known = ExpectedNames(config);
  for (const model::ExpectedWeight& weight : expected) {
    RETURN_IF_ERROR(RefusePacked(source, weight.name));
    const auto at = found.find(weight.name);
    if (at == found.end()) {
      return absl::InvalidArgumentError(
          StrCat("the weights have no tensor ", weight.name, ", which config.json asks for"));
    }
    std::vector<int64_t> shape = at->second->shape;
    if (quant::IsBnb4(source, at->second->name)) {
      ASSIGN_OR_RETURN(shape, quant::BnbShape(source, at->second->name));
    }
    if (shape != weight.shape) {
      return absl::InvalidArgumentError(StrCat("tensor ", at->second->name, " has shape ",
                                               weights::ShapeText(shape), ", config.json asks for ",
                                               weights::ShapeText(weight.shape)));
    }
  }
  for (const auto& [name, info] : found) {
    if (!known.contains(name) && IsWithinDecoder(config, name)) {
      return absl::InvalidArgumentError(
          StrCat("tensor ", info->name, " is not part of the model that config.json describes"));
    }
  }
  return absl::OkStatus();
}

StatusOr<model::SlotPtr> MakeSlot(const model::ExpectedWeight& weight, const weights::TensorInfo& info,
                                  const weights::TensorSource& source, const LoadOptions& options,
                                  TrainedSlots& trained) {
  if (quant::IsBnb4(source, info.name)) {
    if (options.trainable) {
      return absl::InvalidArgumentError(
          StrCat("tensor ", info.name, " is stored in 4 bits and cannot be trained: use method qlora"));
    }
    StatusOr<ops::Nf4Tensor> tensor = quant::ReadBnbNf4(source, info.name);
    if (tensor.ok()) return std::make_shared<quant::Nf4Slot>(weight.name, *std::move(tensor));
    if (!absl::IsUnimplemented(tensor.status())) return tensor.status();
    // Another kind of 4 bits stays what it is: quantising it once more would change it.
    ASSIGN_OR_RETURN(const torch::Tensor value, quant::DequantiseBnb(source, info.name));
    return std::make_shared<ops::ResidentSlot>(weight.name, value.to(options.stored), false);
  }
  ASSIGN_OR_RETURN(torch::Tensor value, ReadTensor(source, info));
  if (options.nf4 && weight.linear)
    return std::make_shared<quant::Nf4Slot>(weight.name, ops::QuantiseNf4(value));
  // Norms and biases are a thousandth of the bytes, and rounding them to bfloat16 up to half of its error.
  const bool exact = weight.shape.size() == 1;
  if (!options.trainable) {
    return std::make_shared<ops::ResidentSlot>(weight.name, exact ? value : value.to(options.stored), false);
  }
  trained.push_back(std::make_shared<ops::ResidentSlot>(weight.name, std::move(value), true,
                                                        exact ? at::kFloat : options.rounded_to));
  return trained.back();
}

}  // namespace

std::vector<std::string> LeftOut(const model::DecoderConfig& config, const weights::TensorSource& source) {
  const std::set<std::string> known = ExpectedNames(config);
  std::vector<std::string> names;
  for (const auto& [name, info] : ByCanonicalName(config, source)) {
    if (!known.contains(name) && !IsWithinDecoder(config, name)) names.push_back(info->name);
  }
  return names;
}

StatusOr<torch::Tensor> ReadTensor(const weights::TensorSource& source, const weights::TensorInfo& info) {
  torch::Tensor tensor = torch::empty(info.shape, torch::kFloat);
  RETURN_IF_ERROR(weights::ReadFloat32(source, info, {tensor.mutable_data_ptr<float>(), info.elements()}));
  return tensor;
}

StatusOr<model::DecoderWeights> LoadDecoder(const model::DecoderConfig& config,
                                            const weights::TensorSource& source, const LoadOptions& options,
                                            TrainedSlots& trained) {
  const std::vector<model::ExpectedWeight> expected = model::ExpectedWeights(config);
  const auto found = ByCanonicalName(config, source);
  RETURN_IF_ERROR(CheckNames(config, expected, found, source));
  model::DecoderWeights weights = model::MakeStructure(config);
  for (const model::ExpectedWeight& weight : expected) {
    ASSIGN_OR_RETURN(model::SlotPtr slot, MakeSlot(weight, *found.at(weight.name), source, options, trained));
    FT_CHECK(model::Place(config, std::move(slot), weights)) << weight.name;
  }
  return weights;
}

}  // namespace ft::run
