#include "worker/rank/earlier_adapter.h"

#include "worker/model/decoder/family.h"
#include "worker/rank/load_model.h"
#include "worker/train/checkpoint/expert_adapter.h"

namespace ft::rank {

params::AdapterKind AdapterKindOf(const recipe::MethodSpec& method, bool ensure_weight_tying) {
  return {.use_rslora = method.use_rslora,
          .use_dora = method.use_dora,
          .rank_pattern = {method.rank_pattern.begin(), method.rank_pattern.end()},
          .alpha_pattern = {method.alpha_pattern.begin(), method.alpha_pattern.end()},
          .modules_to_save = method.modules_to_save,
          .ensure_weight_tying = ensure_weight_tying};
}

void TakeKind(const params::PeftConfig& config, recipe::MethodSpec& method) {
  method.rank = config.rank;
  method.alpha = config.alpha;
  method.use_rslora = config.kind.use_rslora;
  method.use_dora = config.kind.use_dora;
  method.rank_pattern = {config.kind.rank_pattern.begin(), config.kind.rank_pattern.end()};
  method.alpha_pattern = {config.kind.alpha_pattern.begin(), config.kind.alpha_pattern.end()};
  method.modules_to_save = config.kind.modules_to_save;
}

StatusOr<std::optional<checkpoint::StoredAdapter>> TakeEarlierAdapter(recipe::JobSpec& spec) {
  if (spec.method.init_from.empty()) return std::optional<checkpoint::StoredAdapter>();
  StatusOr<checkpoint::StoredAdapter> adapter = checkpoint::OpenAdapter(spec.method.init_from);
  if (!adapter.ok()) return WithContext(adapter.status(), "method.init_from");
  ASSIGN_OR_RETURN(const model::DecoderConfig config, ReadModelConfig(spec.model.source));
  RETURN_IF_ERROR(
      WithContext(checkpoint::SplitExperts(model::LayoutOf(config), *adapter), "method.init_from"));
  TakeKind(adapter->config, spec.method);
  spec.method.targets = adapter->modules;
  return std::optional<checkpoint::StoredAdapter>(*std::move(adapter));
}

}  // namespace ft::rank
