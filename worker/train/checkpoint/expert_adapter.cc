#include "worker/train/checkpoint/expert_adapter.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "worker/model/decoder/fused_experts.h"
#include "worker/model/params/adapters.h"
#include "worker/model/params/read_slot.h"
#include "worker/model/weights/tensor_table.h"

namespace ft::checkpoint {
namespace {

using torch::Tensor;

constexpr std::string_view kPrefix = "base_model.model.";

// The matrices of all experts of a block, by the module that has them: "model.layers.0.mlp.experts". In the order in which the module
// has its parameters, which is also that in which PEFT wraps it.
std::map<std::string, std::vector<model::FusedTensor>> ByModule(const model::Layout& layout,
                                                                FusedExperts which) {
  std::map<std::string, std::vector<model::FusedTensor>> modules;
  for (model::FusedTensor& fused : model::FusedTensors(layout)) {
    if (fused.shape.size() != 3) continue;
    if (which == FusedExperts::kOnly && !fused.parts.front()->fused->only) continue;
    modules[fused.name.substr(0, fused.name.rfind('.'))].push_back(std::move(fused));
  }
  return modules;
}

std::string ModuleOf(const model::StoredWeight& weight) {
  return weight.name.substr(0, weight.name.rfind('.'));
}

// PEFT wraps a module once for each parameter: the last wrapper is the outermost.
std::string WrappedName(const std::string& module, size_t parameter, size_t parameters) {
  std::string name = module;
  for (size_t i = parameter + 1; i < parameters; ++i) name += ".base_layer";
  return name;
}

// "model.layers.0.mlp.experts.down_proj": what lies behind the block's number.
std::string ParameterOf(const std::string& name) {
  size_t begin = name.size();
  for (int parts = 0; parts < 3 && begin != std::string::npos; ++parts) begin = name.rfind('.', begin - 1);
  return begin == std::string::npos ? name : name.substr(begin + 1);
}

class MemoryTensors final : public weights::TensorSource {
 public:
  Status Add(const std::string& name, const Tensor& value) {
    values_.push_back(value.contiguous());
    return table_.Add({name, weights::DType::kF32, value.sizes().vec()});
  }
  const std::vector<weights::TensorInfo>& tensors() const override { return table_.tensors(); }
  const weights::TensorInfo* Find(std::string_view name) const override { return table_.Find(name); }
  Status ReadBytes(const weights::TensorInfo& info, std::span<std::byte> out) const override {
    const std::optional<size_t> index = table_.IndexOf(info.name);
    if (!index) return absl::NotFoundError(StrCat("the adapter has no tensor '", info.name, "'"));
    std::memcpy(out.data(), values_[*index].const_data_ptr(), out.size());
    return absl::OkStatus();
  }

 private:
  weights::TensorTable table_;
  std::vector<Tensor> values_;  // By index in the table.
};

int64_t InputsOf(const model::FusedTensor& fused) { return fused.parts.front()->shape[1]; }
int64_t RowsOf(const model::FusedTensor& fused) { return fused.parts.front()->fused->rows; }

// Whether a pair of PEFT's may be of this parameter.
bool Fits(const model::FusedTensor& fused, const weights::TensorInfo* a, const weights::TensorInfo* b) {
  return a != nullptr && b != nullptr && a->shape.size() == 2 && b->shape.size() == 2 &&
         a->shape[1] == InputsOf(fused) && b->shape[0] == RowsOf(fused) && a->shape[0] == b->shape[1] &&
         a->shape[0] % fused.shape[0] == 0 && a->shape[0] > 0;
}

// Each expert's own pairs of a parameter's.
Status SplitPair(const model::FusedTensor& fused, const std::string& wrapped, const StoredAdapter& adapter,
                 MemoryTensors& own, params::AdapterKind& kind) {
  const weights::TensorSource& tensors = *adapter.tensors;
  const weights::TensorInfo *a = tensors.Find(params::AdapterName(wrapped, 'A')),
                            *b = tensors.Find(params::AdapterName(wrapped, 'B'));
  if (!Fits(fused, a, b)) {
    return absl::InvalidArgumentError(StrCat("the adapter's pair ", wrapped, " does not fit ", fused.name,
                                             ": it belongs to another model"));
  }
  ASSIGN_OR_RETURN(const Tensor all_a, params::ReadTensor(tensors, *a));
  ASSIGN_OR_RETURN(const Tensor all_b, params::ReadTensor(tensors, *b));
  const int64_t experts = fused.shape[0], rank = a->shape[0] / experts;
  const Tensor b_ORE = all_b.view({RowsOf(fused), rank, experts});
  RETURN_IF_ERROR(adapter.config.kind.Check(fused.name));
  const double alpha = adapter.config.kind.AlphaOf(fused.name, adapter.config.alpha);
  for (const model::StoredWeight* part : fused.parts) {
    const int64_t e = part->role.expert;
    const std::string module = ModuleOf(*part);
    RETURN_IF_ERROR(own.Add(params::AdapterName(module, 'A'), all_a.narrow(0, e * rank, rank)));
    RETURN_IF_ERROR(own.Add(params::AdapterName(module, 'B'),
                            b_ORE.select(2, e).narrow(0, part->fused->first_row, part->shape[0])));
    if (rank != adapter.config.rank) kind.rank_pattern.emplace_back(module, static_cast<int>(rank));
    if (alpha != adapter.config.alpha) kind.alpha_pattern.emplace_back(module, alpha);
  }
  return absl::OkStatus();
}

// One expert's pair of a parameter from those of its matrices; nothing where none of them has one.
struct ExpertPair {
  Tensor a_RI, b_OR;
};
std::optional<ExpertPair> TakePair(const model::FusedTensor& fused, int64_t expert,
                                   std::map<std::string, Tensor>& all) {
  std::vector<const model::StoredWeight*> parts;
  std::vector<Tensor> a, b;
  for (const model::StoredWeight* part : fused.parts) {
    const std::string module = ModuleOf(*part);
    if (part->role.expert != expert || !all.contains(params::AdapterName(module, 'A'))) continue;
    parts.push_back(part);
    a.push_back(all.extract(params::AdapterName(module, 'A')).mapped());
    b.push_back(all.extract(params::AdapterName(module, 'B')).mapped());
  }
  if (parts.empty()) return std::nullopt;
  const bool shared =
      std::all_of(a.begin(), a.end(), [&](const Tensor& one) { return at::equal(one, a[0]); });
  ExpertPair pair{shared ? a[0] : at::cat(a), {}};
  pair.b_OR = torch::zeros({RowsOf(fused), pair.a_RI.size(0)});
  int64_t first = 0;  // Rank.
  for (size_t i = 0; i < parts.size(); ++i) {
    pair.b_OR.narrow(0, parts[i]->fused->first_row, parts[i]->shape[0])
        .narrow(1, first, b[i].size(1))
        .copy_(b[i]);
    if (!shared) first += b[i].size(1);
  }
  return pair;
}

Status Uneven(const model::FusedTensor& fused) {
  return absl::InvalidArgumentError(
      StrCat("not all experts of ", fused.name,
             " have an adapter of the same rank, which experts in one tensor need"));
}

// All experts' pairs of a parameter; nothing where none has one.
StatusOr<std::optional<ExpertPair>> TakeAll(const model::FusedTensor& fused,
                                            std::map<std::string, Tensor>& all) {
  std::vector<Tensor> a, b;
  for (int64_t expert = 0; expert < fused.shape[0]; ++expert) {
    std::optional<ExpertPair> pair = TakePair(fused, expert, all);
    if (pair.has_value() != !a.empty() && expert > 0) return Uneven(fused);
    if (!pair) continue;
    if (!a.empty() && a[0].size(0) != pair->a_RI.size(0)) return Uneven(fused);
    a.push_back(std::move(pair->a_RI));
    b.push_back(std::move(pair->b_OR));
  }
  if (a.empty()) return std::optional<ExpertPair>();
  return std::optional(ExpertPair{at::cat(a), at::stack(b, 2).view({RowsOf(fused), -1})});
}

}  // namespace

StatusOr<FusedAdapter> FuseExperts(const model::Layout& layout, std::vector<NamedTensor> tensors,
                                   FusedExperts which) {
  std::map<std::string, Tensor> all;
  for (NamedTensor& tensor : tensors) all[tensor.name] = std::move(tensor.tensor);
  FusedAdapter fused;
  for (const auto& [module, of_module] : ByModule(layout, which)) {
    std::vector<ExpertPair> pairs;
    for (const model::FusedTensor& one : of_module) {
      ASSIGN_OR_RETURN(std::optional<ExpertPair> pair, TakeAll(one, all));
      if (!pair) continue;
      const int64_t rank = pair->a_RI.size(0) / one.shape[0];
      FusedParameter& parameter = fused.parameters[ParameterOf(one.name)];
      if (parameter.rank != 0 && parameter.rank != rank) return Uneven(one);
      parameter.rank = rank;
      for (const model::StoredWeight* part : one.parts) parameter.modules.push_back(ModuleOf(*part));
      pairs.push_back(*std::move(pair));
    }
    for (size_t i = 0; i < pairs.size(); ++i) {
      const std::string wrapped = WrappedName(module, i, pairs.size());
      all[params::AdapterName(wrapped, 'A')] = std::move(pairs[i].a_RI);
      all[params::AdapterName(wrapped, 'B')] = std::move(pairs[i].b_OR);
    }
  }
  for (auto& [name, value] : all) fused.tensors.push_back({name, value});
  return fused;
}

Status SplitExperts(const model::Layout& layout, StoredAdapter& adapter) {
  std::set<std::string> modules(adapter.modules.begin(), adapter.modules.end());
  auto own = std::make_unique<MemoryTensors>();
  std::set<std::string> taken;
  params::AdapterKind kind = adapter.config.kind;
  for (const auto& [module, of_module] : ByModule(layout, FusedExperts::kAll)) {
    // With one wrapper PEFT's file does not say of which parameter it is; its sizes do.
    const size_t wrappers = modules.contains(module + ".base_layer") ? 2 : modules.contains(module) ? 1 : 0;
    for (size_t i = 0; i < wrappers; ++i) {
      const std::string wrapped = WrappedName(module, i, wrappers);
      const weights::TensorInfo *a = adapter.tensors->Find(params::AdapterName(wrapped, 'A')),
                                *b = adapter.tensors->Find(params::AdapterName(wrapped, 'B'));
      size_t which = i;
      while (wrappers == 1 && which + 1 < of_module.size() && !Fits(of_module[which], a, b)) ++which;
      if (which >= of_module.size()) continue;
      RETURN_IF_ERROR(SplitPair(of_module[which], wrapped, adapter, *own, kind));
      taken.insert(wrapped);
      modules.erase(wrapped);
      for (const model::StoredWeight* part : of_module[which].parts) modules.insert(ModuleOf(*part));
    }
  }
  if (taken.empty()) return absl::OkStatus();
  for (const weights::TensorInfo& info : adapter.tensors->tensors()) {
    const std::string module = info.name.substr(0, info.name.rfind(".lora_"));
    if (taken.contains(module.substr(std::min(module.size(), kPrefix.size())))) continue;
    ASSIGN_OR_RETURN(const Tensor value, params::ReadTensor(*adapter.tensors, info));
    RETURN_IF_ERROR(own->Add(info.name, value));
  }
  adapter.tensors = std::move(own);
  adapter.config.kind = std::move(kind);
  adapter.modules.assign(modules.begin(), modules.end());
  return absl::OkStatus();
}

}  // namespace ft::checkpoint
