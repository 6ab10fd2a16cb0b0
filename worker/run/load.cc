#include "worker/run/load.h"

#include <map>
#include <set>
#include <utility>

#include "worker/model/family.h"
#include "worker/weights/tensor_table.h"

namespace ft::run {
namespace {

// Stored tensors by canonical name; what carries no weight is left out.
std::map<std::string, const weights::TensorInfo*> ByCanonicalName(const model::DecoderConfig& config,
                                                                  const weights::TensorSource& source) {
  std::map<std::string, const weights::TensorInfo*> found;
  for (const weights::TensorInfo& info : source.tensors()) {
    const std::string name = model::CanonicalName(config, info.name);
    if (!name.empty()) found[name] = &info;
  }
  return found;
}

Status CheckNames(const std::vector<model::ExpectedWeight>& expected,
                  const std::map<std::string, const weights::TensorInfo*>& found) {
  std::set<std::string> known;
  for (const model::ExpectedWeight& weight : expected) {
    known.insert(weight.name);
    const auto at = found.find(weight.name);
    if (at == found.end()) {
      return absl::InvalidArgumentError(StrCat("the weights have no tensor ", weight.name, ", which config.json asks for"));
    }
    if (at->second->shape != weight.shape) {
      return absl::InvalidArgumentError(StrCat("tensor ", at->second->name, " has shape ",
                                               weights::ShapeText(at->second->shape), ", config.json asks for ",
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

}  // namespace

StatusOr<torch::Tensor> ReadTensor(const weights::TensorSource& source, const weights::TensorInfo& info) {
  torch::Tensor tensor = torch::empty(info.shape, torch::kFloat);
  RETURN_IF_ERROR(weights::ReadFloat32(source, info, {tensor.mutable_data_ptr<float>(), info.elements()}));
  return tensor;
}

StatusOr<model::DecoderWeights> LoadDecoder(const model::DecoderConfig& config, const weights::TensorSource& source,
                                            const LoadOptions& options, TrainedSlots& trained) {
  const std::vector<model::ExpectedWeight> expected = model::ExpectedWeights(config);
  const auto found = ByCanonicalName(config, source);
  RETURN_IF_ERROR(CheckNames(expected, found));
  model::DecoderWeights weights = model::MakeStructure(config);
  for (const model::ExpectedWeight& weight : expected) {
    ASSIGN_OR_RETURN(torch::Tensor value, ReadTensor(source, *found.at(weight.name)));
    if (!options.trainable) value = value.to(options.compute);
    const auto slot = std::make_shared<ops::ResidentSlot>(weight.name, value, options.trainable);
    if (options.trainable) trained.push_back(slot);
    model::Place(config, slot, weights);
  }
  return weights;
}

}  // namespace ft::run
