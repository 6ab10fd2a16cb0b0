#include "worker/model/run/saved_modules.h"

#include <algorithm>
#include <set>
#include <string>

#include "worker/model/params/adapters.h"
#include "worker/model/params/module_pattern.h"

namespace ft::run {
namespace {

std::string ModuleOf(const model::StoredWeight& weight) {
  return params::AdapterModule(std::string_view(weight.name).substr(0, weight.name.rfind('.')));
}

Status NoSuchModule(const std::string& name, const model::Layout& layout) {
  std::set<std::string> known;
  for (const model::StoredWeight& weight : layout) {
    const std::string module = ModuleOf(weight);
    known.insert(module.substr(module.rfind('.') + 1));
  }
  std::string list;
  for (const std::string& one : known) StrAppend(&list, list.empty() ? "" : ", ", one);
  return absl::InvalidArgumentError(
      StrCat("modules_to_save: this model has no module \"", name, "\" (it has ", list, ")"));
}

}  // namespace

bool IsSaved(const model::StoredWeight& weight, const params::AdapterKind& kind) {
  return kind.Saves(ModuleOf(weight));
}

Status CheckSavedModules(const model::DecoderConfig& config, const model::Layout& layout,
                         const params::AdapterKind& kind) {
  for (const std::string& name : kind.modules_to_save) {
    const bool head = params::EndsWith("lm_head", name);
    if (config.tied_head && head) {
      return absl::InvalidArgumentError(
          StrCat("modules_to_save: ", name,
                 " is this model's embedding (tie_word_embeddings) and cannot be trained alone: name ",
                 ModuleOf(layout.front()), " instead, which is both"));
    }
    const bool there = std::any_of(layout.begin(), layout.end(), [&](const model::StoredWeight& weight) {
      return params::EndsWith(ModuleOf(weight), name);
    });
    if (!there) return NoSuchModule(name, layout);
  }
  if (!config.tied_head || kind.ensure_weight_tying || !IsSaved(layout.front(), kind))
    return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat(
      "modules_to_save: the adapter has an embedding of its own, ", ModuleOf(layout.front()),
      ", while the head stays the model's, which has one for both (tie_word_embeddings): merge it with "
      "PEFT (merge_and_unload), or save it with ensure_weight_tying"));
}

}  // namespace ft::run
