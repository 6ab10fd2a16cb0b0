#include "worker/run/load.h"

#include <map>
#include <set>
#include <utility>

#include "core/base/check.h"
#include "worker/model/family.h"
#include "worker/quant/bnb_checkpoint.h"
#include "worker/quant/nf4_slot.h"
#include "worker/weights/tensor_table.h"

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

Status CheckNames(const std::vector<model::ExpectedWeight>& expected,
                  const std::map<std::string, const weights::TensorInfo*>& found,
                  const weights::TensorSource& source) {
  std::set<std::string> known;
  for (const model::ExpectedWeight& weight : expected) {
    known.insert(weight.name);
    const auto at = found.find(weight.name);
    if (at == found.end()) {
      return absl::InvalidArgumentError(
          StrCat("the weights have no tensor ", weight.name, ", which config.json asks for"));
    }
    std::vector<int64_t> shape = at->second->shape;
    if (quant::IsBnbNf4(source, at->second->name)) {
      ASSIGN_OR_RETURN(shape, quant::BnbShape(source, at->second->name));
    }
    if (shape != weight.shape) {
      return absl::InvalidArgumentError(StrCat("tensor ", at->second->name, " has shape ",
                                               weights::ShapeText(shape), ", config.json asks for ",
                                               weights::ShapeText(weight.shape)));
    }
  }
  for (const auto& [name, info] : found) {
    if (!known.contains(name)) {
      return absl::InvalidArgumentError(
          StrCat("tensor ", info->name, " is not part of the model that config.json describes"));
    }
  }
  return absl::OkStatus();
}

StatusOr<model::SlotPtr> MakeSlot(const model::ExpectedWeight& weight, const weights::TensorInfo& info,
                                  const weights::TensorSource& source, const LoadOptions& options,
                                  TrainedSlots& trained) {
  if (quant::IsBnbNf4(source, info.name)) {
    if (options.trainable) {
      return absl::InvalidArgumentError(
          StrCat("tensor ", info.name, " is stored in 4 bits and cannot be trained: use method qlora"));
    }
    ASSIGN_OR_RETURN(ops::Nf4Tensor tensor, quant::ReadBnbNf4(source, info.name));
    return std::make_shared<quant::Nf4Slot>(weight.name, std::move(tensor));
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
  RETURN_IF_ERROR(CheckNames(expected, found, source));
  model::DecoderWeights weights = model::MakeStructure(config);
  for (const model::ExpectedWeight& weight : expected) {
    ASSIGN_OR_RETURN(model::SlotPtr slot, MakeSlot(weight, *found.at(weight.name), source, options, trained));
    FT_CHECK(model::Place(config, std::move(slot), weights)) << weight.name;
  }
  return weights;
}

}  // namespace ft::run
