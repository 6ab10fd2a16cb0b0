#include "worker/train/checkpoint/expert_adapter.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
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
std::map<std::string, std::vector<model::FusedTensor>> ByModule(const model::Layout& layout) {
  std::map<std::string, std::vector<model::FusedTensor>> modules;
  for (model::FusedTensor& fused : model::FusedTensors(layout)) {
    if (fused.shape.size() != 3 || !fused.parts.front()->fused->only) continue;
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

// Each expert's own pair of a parameter's.
Status SplitPair(const model::FusedTensor& fused, const std::string& wrapped,
                 const weights::TensorSource& tensors, MemoryTensors& own) {
  const weights::TensorInfo *a = tensors.Find(params::AdapterName(wrapped, 'A')),
                            *b = tensors.Find(params::AdapterName(wrapped, 'B'));
  const int64_t experts = fused.shape[0], inputs = fused.shape[1], outputs = fused.shape[2];
  if (a == nullptr || b == nullptr || a->shape.size() != 2 || b->shape.size() != 2 || a->shape[1] != inputs ||
      b->shape[0] != outputs || a->shape[0] != b->shape[1] || a->shape[0] % experts != 0 ||
      a->shape[0] == 0) {
    return absl::InvalidArgumentError(StrCat("the adapter's pair ", wrapped, " does not fit ", fused.name,
                                             ": it belongs to another model"));
  }
  ASSIGN_OR_RETURN(const Tensor all_a, params::ReadTensor(tensors, *a));
  ASSIGN_OR_RETURN(const Tensor all_b, params::ReadTensor(tensors, *b));
  const int64_t rank = a->shape[0] / experts;
  const Tensor b_ORE = all_b.view({outputs, rank, experts});
  for (const model::StoredWeight* part : fused.parts) {
    const int64_t e = part->role.expert;
    RETURN_IF_ERROR(own.Add(params::AdapterName(ModuleOf(*part), 'A'), all_a.narrow(0, e * rank, rank)));
    RETURN_IF_ERROR(own.Add(params::AdapterName(ModuleOf(*part), 'B'), b_ORE.select(2, e)));
  }
  return absl::OkStatus();
}

}  // namespace

FusedAdapter FuseExperts(const model::Layout& layout, std::vector<NamedTensor> tensors) {
  std::map<std::string, Tensor> all;
  for (NamedTensor& tensor : tensors) all[tensor.name] = std::move(tensor.tensor);
  std::set<std::string> parameters;
  for (auto& [module, of_module] : ByModule(layout)) {
    std::erase_if(of_module, [&](const model::FusedTensor& fused) {
      return !all.contains(params::AdapterName(ModuleOf(*fused.parts.front()), 'A'));
    });
    for (size_t i = 0; i < of_module.size(); ++i) {
      std::vector<Tensor> a, b;
      for (const model::StoredWeight* part : of_module[i].parts) {
        a.push_back(all.extract(params::AdapterName(ModuleOf(*part), 'A')).mapped());
        b.push_back(all.extract(params::AdapterName(ModuleOf(*part), 'B')).mapped());
      }
      const std::string wrapped = WrappedName(module, i, of_module.size());
      all[params::AdapterName(wrapped, 'A')] = at::cat(a);
      all[params::AdapterName(wrapped, 'B')] = at::stack(b, 2).view({b[0].size(0), -1});
      parameters.insert(ParameterOf(of_module[i].name));
    }
  }
  FusedAdapter fused{.parameters = {parameters.begin(), parameters.end()}};
  for (auto& [name, value] : all) fused.tensors.push_back({name, value});
  return fused;
}

Status SplitExperts(const model::Layout& layout, StoredAdapter& adapter) {
  std::set<std::string> modules(adapter.modules.begin(), adapter.modules.end());
  auto own = std::make_unique<MemoryTensors>();
  std::set<std::string> taken;
  for (const auto& [module, of_module] : ByModule(layout)) {
    // With one wrapper PEFT's file does not say of which parameter it is; its sizes do.
    const size_t wrappers = modules.contains(module + ".base_layer") ? 2 : modules.contains(module) ? 1 : 0;
    for (size_t i = 0; i < wrappers; ++i) {
      const std::string wrapped = WrappedName(module, i, wrappers);
      const weights::TensorInfo* b = adapter.tensors->Find(params::AdapterName(wrapped, 'B'));
      size_t which = i;
      while (wrappers == 1 && b != nullptr && which + 1 < of_module.size() &&
             b->shape[0] != of_module[which].shape[2])
        ++which;
      if (which >= of_module.size()) continue;
      RETURN_IF_ERROR(SplitPair(of_module[which], wrapped, *adapter.tensors, *own));
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
  adapter.modules.assign(modules.begin(), modules.end());
  return absl::OkStatus();
}

}  // namespace ft::checkpoint
