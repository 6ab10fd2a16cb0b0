#include "worker/model/run/load.h"

#include <map>
#include <set>
#include <utility>

#include "worker/model/decoder/family.h"
#include "worker/model/params/adapters.h"
#include "worker/model/params/bnb_checkpoint.h"
#include "worker/model/weights/quantization.h"
#include "worker/model/weights/tensor_table.h"

namespace ft::run {
namespace {

using TensorsByName = std::map<std::string, const weights::TensorInfo*>;

// Stored tensors by the name that the layout gives them; what carries no weight is left out.
TensorsByName ByLayoutName(const model::DecoderConfig& config, const weights::TensorSource& source) {
  TensorsByName found;
  for (const weights::TensorInfo& info : source.tensors()) {
    if (params::IsBnbCompanion(info.name)) continue;
    const std::string name = model::LayoutName(config, info.name);
    if (!name.empty()) found[name] = &info;
  }
  return found;
}

std::set<std::string> NamesOf(const model::Layout& layout) {
  std::set<std::string> names;
  for (const model::StoredWeight& weight : layout) names.insert(weight.name);
  return names;
}

Status RefusePacked(const weights::TensorSource& source, const std::string& name) {
  const std::string_view packing = weights::PackingOfWeight(source, name);
  if (packing.empty()) return absl::OkStatus();
  return absl::UnimplementedError(StrCat("tensor ", name, " is stored as ", packing,
                                         ", which is not read by this version", weights::TakeUnquantised()));
}

Status CheckWeight(const model::StoredWeight& weight, const TensorsByName& found,
                   const weights::TensorSource& source) {
  RETURN_IF_ERROR(RefusePacked(source, weight.name));
  const auto at = found.find(weight.name);
  if (at == found.end()) {
    return absl::InvalidArgumentError(
        StrCat("the weights have no tensor ", weight.name, ", which config.json asks for"));
  }
  std::vector<int64_t> shape = at->second->shape;
  if (params::IsBnb4(source, at->second->name)) {
    ASSIGN_OR_RETURN(shape, params::BnbShape(source, at->second->name));
  }
  if (shape == weight.shape) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat("tensor ", at->second->name, " has shape ",
                                           weights::ShapeText(shape), ", config.json asks for ",
                                           weights::ShapeText(weight.shape)));
}

// A head that is the embedding may be stored a second time, with the same values.
Status CheckHeadCopy(const model::DecoderConfig& config, const model::Layout& layout,
                     const TensorsByName& found, const weights::TensorSource& source) {
  const weights::TensorInfo& embedding = *found.at(layout.front().name);
  for (const weights::TensorInfo& info : source.tensors()) {
    if (!model::IsHeadCopy(config, info.name) || params::IsBnb4(source, info.name)) continue;
    ASSIGN_OR_RETURN(const torch::Tensor head, params::ReadTensor(source, info));
    ASSIGN_OR_RETURN(const torch::Tensor values, params::ReadTensor(source, embedding));
    if (at::equal(head, values)) continue;
    return absl::InvalidArgumentError(
        StrCat("tensor ", info.name, " has other values than ", embedding.name,
               ", though config.json says that they are one (tie_word_embeddings): set it to false there, or "
               "leave the tensor out"));
  }
  return absl::OkStatus();
}

Status CheckNames(const model::DecoderConfig& config, const model::Layout& layout, const TensorsByName& found,
                  const weights::TensorSource& source) {
  for (const model::StoredWeight& weight : layout) RETURN_IF_ERROR(CheckWeight(weight, found, source));
  const std::set<std::string> known = NamesOf(layout);
  for (const auto& [name, info] : found) {
    if (!known.contains(name) && model::IsWithinDecoder(config, name)) {
      return absl::InvalidArgumentError(
          StrCat("tensor ", info->name, " is not part of the model that config.json describes"));
    }
  }
  return absl::OkStatus();
}

// The cached base of the frozen matrices that are to be quantised; null where there is none. What is stored in 4 bits already stays so.
std::unique_ptr<params::QuantisedBase> BaseOf(const model::Layout& layout, const TensorsByName& found,
                                              const weights::TensorSource& source, const LoadOptions& options,
                                              const params::ParameterStore& store) {
  if (options.projections == params::BaseKind::kStored) return nullptr;
  std::vector<params::StoredMatrix> matrices;
  for (const model::StoredWeight& weight : layout) {
    const weights::TensorInfo* info = found.at(weight.name);
    const bool trained = store.Find(weight.name) >= 0 || store.Find(params::SavedName(weight.name)) >= 0;
    if (weight.quantised() && !trained && !params::IsBnb4(source, info->name))
      matrices.push_back({weight.name, info});
  }
  return params::QuantisedBase::Open(options.base, options.projections, source, matrices);
}

// A frozen weight: from the cached base where it is there and whole, else from the model's files.
StatusOr<ops::SlotPtr> ReadFrozen(const model::StoredWeight& weight, const weights::TensorInfo& info,
                                  const weights::TensorSource& source, const params::FrozenPolicy& policy,
                                  const LoadOptions& options, std::unique_ptr<params::QuantisedBase>& base) {
  if (base != nullptr && weight.quantised() && !params::IsBnb4(source, info.name)) {
    StatusOr<ops::SlotPtr> slot = base->Read(weight.name, weight.shape, options.device);
    if (slot.ok()) return slot;
    if (options.base.remark) options.base.remark(std::string(Message(slot.status())));
    base = nullptr;
  }
  return params::ReadFrozenSlot(source, info, weight.name, policy);
}

}  // namespace

std::vector<std::string> LeftOut(const model::DecoderConfig& config, const model::Layout& layout,
                                 const weights::TensorSource& source) {
  const std::set<std::string> known = NamesOf(layout);
  std::vector<std::string> names;
  for (const auto& [name, info] : ByLayoutName(config, source)) {
    if (!known.contains(name) && !model::IsWithinDecoder(config, name)) names.push_back(info->name);
  }
  return names;
}

Status LoadDecoder(const model::DecoderConfig& config, const model::Layout& layout,
                   const weights::TensorSource& source, const LoadOptions& options,
                   params::ParameterStore& store, model::DecoderWeights& weights) {
  const TensorsByName found = ByLayoutName(config, source);
  RETURN_IF_ERROR(CheckNames(config, layout, found, source));
  RETURN_IF_ERROR(CheckHeadCopy(config, layout, found, source));
  std::unique_ptr<params::QuantisedBase> base = BaseOf(layout, found, source, options, store);
  std::map<int, int64_t> missing;  // Weights of each unit that are not read yet.
  for (const model::StoredWeight& weight : layout) ++missing[model::UnitOf(config, weight.role)];
  std::map<int, std::vector<ops::SlotPtr>> frozen;
  for (const model::StoredWeight& weight : layout) {
    const weights::TensorInfo& info = *found.at(weight.name);
    int index = store.Find(weight.name);
    if (index < 0) index = store.Find(params::SavedName(weight.name));
    const at::ScalarType cast = weight.router() ? at::kFloat : options.cast_dtype;
    const params::FrozenPolicy policy{
        .stored = weight.router() ? at::kFloat : options.weight_dtype,
        .kind = weight.quantised() ? options.projections : params::BaseKind::kStored,
        .device = options.device};
    ASSIGN_OR_RETURN(ops::SlotPtr slot, index >= 0 ? params::ReadTrainedSlot(source, info, store, index, cast)
                                                   : ReadFrozen(weight, info, source, policy, options, base));
    const int unit = model::UnitOf(config, weight.role);
    if (index < 0) frozen[unit].push_back(slot);
    model::AssignWeight(config, weight.role, std::move(slot), weights);
    if (--missing[unit] == 0 && options.unit_read) options.unit_read(unit, frozen[unit]);
  }
  return absl::OkStatus();
}

}  // namespace ft::run
