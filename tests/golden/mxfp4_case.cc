#include <algorithm>

#include "tests/golden/case_files.h"
#include "tests/golden/quant_cases.h"
#include "worker/model/decoder/fused_experts.h"
#include "worker/model/decoder/fused_part.h"
#include "worker/model/weights/mxfp4.h"

namespace ft::golden {
namespace {

using torch::Tensor;

// The weights of experts that lie in blocks, [experts, rows, groups, bytes], each as a matrix of its own.
void AddExperts(const weights::TensorInfo& blocks, model::Layout& layout) {
  const std::string name = blocks.name.substr(0, blocks.name.size() - weights::kMxfp4Blocks.size());
  for (int64_t e = 0; e < blocks.shape[0]; ++e) {
    layout.push_back({.name = StrCat(name, ".", e),
                      .shape = {blocks.shape[1], blocks.shape[2] * weights::kMxfp4Group},
                      .role = {.part = model::Part::kProjection, .expert = e},
                      .fused = model::FusedPlace{.tensor = name,
                                                 .experts = blocks.shape[0],
                                                 .rows = blocks.shape[1],
                                                 .inputs_first = true,
                                                 .only = true}});
  }
}

}  // namespace

StatusOr<std::vector<Measure>> Mxfp4Case(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const auto source, OpenExpected(folder / "mxfp4.safetensors"));
  model::Layout layout;
  for (const weights::TensorInfo& info : source->tensors()) {
    if (info.name.ends_with(weights::kMxfp4Blocks) && info.shape.size() == 4) AddExperts(info, layout);
  }
  ASSIGN_OR_RETURN(const auto split, model::SplitExperts(layout, *source));
  if (split == nullptr) return absl::NotFoundError("the case has no blocks");
  std::vector<Measure> measures;
  for (const model::FusedTensor& fused : model::FusedTensors(layout)) {
    Tensor whole = torch::zeros(fused.shape);
    for (const model::StoredWeight* part : fused.parts) {
      ASSIGN_OR_RETURN(const Tensor value, Expected(*split, part->name));
      model::PartOf(whole, *part).copy_(value);
    }
    ASSIGN_OR_RETURN(const Tensor expected, Expected(*source, StrCat("expected.", fused.name)));
    Record(measures, {"values", LargestDifference(whole, expected, 1), 0});
  }
  return measures;
}

}  // namespace ft::golden
