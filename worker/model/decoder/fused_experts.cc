#include "worker/model/decoder/fused_experts.h"

#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "worker/model/weights/mxfp4.h"
#include "worker/model/weights/tensor_table.h"

namespace ft::model {
namespace {

using weights::DType;
using weights::TensorInfo;

// The stored tensors that a fused one consists of: itself, or its blocks and scales.
struct Stored {
  const TensorInfo* whole = nullptr;
  const TensorInfo* blocks = nullptr;
  const TensorInfo* scales = nullptr;
};

Status CheckShape(const TensorInfo& info, const std::vector<int64_t>& shape) {
  if (info.shape == shape) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat("tensor ", info.name, " has shape ",
                                           weights::ShapeText(info.shape), ", config.json asks for ",
                                           weights::ShapeText(shape)));
}

Status CheckMxfp4(const Stored& stored, const StoredWeight& weight) {
  const FusedPlace& place = *weight.fused;
  if (stored.blocks == nullptr || stored.scales == nullptr) {
    return absl::InvalidArgumentError(
        StrCat("the weights have only one of ", place.tensor, weights::kMxfp4Blocks, " and ", place.tensor,
               weights::kMxfp4Scales, ", which are halves of one: copy the model's files again"));
  }
  if (weight.shape.size() != 2 || weight.shape[1] % weights::kMxfp4Group != 0 ||
      stored.blocks->dtype != DType::kU8 || stored.scales->dtype != DType::kU8) {
    return absl::InvalidArgumentError(StrCat("tensor ", stored.blocks->name,
                                             " is no MXFP4 of inputs in groups of ", weights::kMxfp4Group,
                                             " and 8-bit scales: take the model in BF16"));
  }
  const int64_t groups = weight.shape[1] / weights::kMxfp4Group;
  RETURN_IF_ERROR(CheckShape(*stored.blocks, {place.experts, place.rows, groups, weights::kMxfp4Group / 2}));
  return CheckShape(*stored.scales, {place.experts, place.rows, groups});
}

class SplitSource final : public weights::TensorSource {
 public:
  explicit SplitSource(const weights::TensorSource& source) : source_(source) {
    for (const std::string& remark : source.remarks()) AddRemark(remark);
  }

  // Whether anything was fused.
  StatusOr<bool> Add(const Layout& layout) {
    std::map<std::string, Stored> fused;
    for (const StoredWeight& weight : layout) {
      if (!weight.fused.has_value()) continue;
      const auto [entry, is_new] = fused.try_emplace(weight.fused->tensor);
      if (is_new) entry->second = StoredOf(*weight.fused);
      RETURN_IF_ERROR(AddWeight(weight, entry->second));
    }
    if (parts_.empty()) return false;
    for (const TensorInfo& info : source_.tensors()) {
      if (hidden_.contains(info.name)) continue;
      RETURN_IF_ERROR(table_.Add(info));
      parts_.push_back({nullptr, {&info, nullptr, nullptr}});
    }
    return true;
  }

  const std::vector<TensorInfo>& tensors() const override { return table_.tensors(); }
  const TensorInfo* Find(std::string_view name) const override { return table_.Find(name); }
  Status ReadBytes(const TensorInfo& info, std::span<std::byte> out) const override {
    const std::optional<size_t> index = table_.IndexOf(info.name);
    if (!index) return absl::NotFoundError(StrCat("no tensor '", info.name, "' in the model's files"));
    const Part& part = parts_[*index];
    if (part.weight == nullptr) return source_.ReadBytes(*part.stored.whole, out);
    return part.stored.whole == nullptr ? ReadMxfp4(part, out) : ReadRows(part, out);
  }

 private:
  struct Part {
    const StoredWeight* weight;  // Null of a tensor that is no expert's.
    Stored stored;
  };

  Stored StoredOf(const FusedPlace& place) const {
    return {source_.Find(place.tensor), source_.Find(StrCat(place.tensor, weights::kMxfp4Blocks)),
            source_.Find(StrCat(place.tensor, weights::kMxfp4Scales))};
  }

  Status AddWeight(const StoredWeight& weight, const Stored& stored) {
    const FusedPlace& place = *weight.fused;
    std::string other;
    for (const TensorInfo* info : {stored.whole, stored.blocks, stored.scales}) {
      if (info == nullptr) continue;
      hidden_.insert(info->name);
      other = info->name;
    }
    if (other.empty()) return absl::OkStatus();
    if (source_.Find(weight.name) != nullptr || (stored.whole != nullptr && stored.blocks != nullptr)) {
      return absl::InvalidArgumentError(
          StrCat("the weights have experts twice, split and in one tensor: ",
                 stored.whole != nullptr && stored.blocks != nullptr ? stored.whole->name : weight.name,
                 " and ", other, "; leave one of them out"));
    }
    if (stored.whole == nullptr) {
      RETURN_IF_ERROR(CheckMxfp4(stored, weight));
    } else {
      RETURN_IF_ERROR(CheckShape(*stored.whole, place.ShapeOf(weight.shape)));
    }
    parts_.push_back({&weight, stored});
    return table_.Add(
        {weight.name, stored.whole == nullptr ? DType::kF32 : stored.whole->dtype, weight.shape});
  }

  // The expert's rows: they lie end to end, or every input has one value of each.
  Status ReadRows(const Part& part, std::span<std::byte> out) const {
    const FusedPlace& place = *part.weight->fused;
    const std::vector<int64_t>& shape = part.weight->shape;
    const uint64_t rows = shape[0], inputs = shape.size() == 1 ? 1 : shape[1],
                   value = out.size() / (rows * inputs);
    const uint64_t expert = part.weight->role.expert, whole = place.rows * inputs * value;
    if (!place.inputs_first || shape.size() == 1)
      return source_.ReadPart(*part.stored.whole, expert * whole + place.first_row * inputs * value, out);
    std::vector<std::byte> matrix(whole);
    RETURN_IF_ERROR(source_.ReadPart(*part.stored.whole, expert * whole, matrix));
    for (uint64_t row = 0; row < rows; ++row) {
      for (uint64_t input = 0; input < inputs; ++input) {
        std::memcpy(out.data() + (row * inputs + input) * value,
                    matrix.data() + (input * place.rows + place.first_row + row) * value, value);
      }
    }
    return absl::OkStatus();
  }

  Status ReadMxfp4(const Part& part, std::span<std::byte> out) const {
    const FusedPlace& place = *part.weight->fused;
    const uint64_t rows = part.weight->shape[0], groups = part.weight->shape[1] / weights::kMxfp4Group;
    const uint64_t first = (part.weight->role.expert * place.rows + place.first_row) * groups;
    std::vector<std::byte> blocks(rows * groups * weights::kMxfp4Group / 2), scales(rows * groups);
    RETURN_IF_ERROR(source_.ReadPart(*part.stored.blocks, first * weights::kMxfp4Group / 2, blocks));
    RETURN_IF_ERROR(source_.ReadPart(*part.stored.scales, first, scales));
    weights::DequantiseMxfp4(blocks, scales,
                             {reinterpret_cast<float*>(out.data()), out.size() / sizeof(float)});
    return absl::OkStatus();
  }

  const weights::TensorSource& source_;
  weights::TensorTable table_;
  std::vector<Part> parts_;  // By index in the table.
  std::set<std::string> hidden_;
};

}  // namespace

StatusOr<std::unique_ptr<weights::TensorSource>> SplitExperts(const Layout& layout,
                                                              const weights::TensorSource& source) {
  auto split = std::make_unique<SplitSource>(source);
  ASSIGN_OR_RETURN(const bool any, split->Add(layout));
  if (!any) return std::unique_ptr<weights::TensorSource>();
  return std::unique_ptr<weights::TensorSource>(std::move(split));
}

std::vector<FusedTensor> FusedTensors(const Layout& layout) {
  std::vector<FusedTensor> tensors;
  std::map<std::string, size_t> known;
  for (const StoredWeight& weight : layout) {
    if (!weight.fused.has_value()) continue;
    const auto [entry, is_new] = known.try_emplace(weight.fused->tensor, tensors.size());
    if (is_new) tensors.push_back({weight.fused->tensor, weight.fused->ShapeOf(weight.shape), {}});
    tensors[entry->second].parts.push_back(&weight);
  }
  return tensors;
}

}  // namespace ft::model
