#include "worker/train/shard/unit_exchange.h"

#include "core/base/check.h"

namespace ft::shard {

void UnitExchange::Gather(const std::string& unit, const torch::Tensor& own, std::span<const size_t> counts,
                          const torch::Tensor& all) {
  if (comm_.size() == 1) {
    if (own.data_ptr() != all.data_ptr()) torch::Tensor(all).copy_(own);
    return;
  }
  const Status gathered = comm_.AllGather(own, counts, all, unit);
  if (!gathered.ok()) throw params::UnitUnavailable(gathered);
}

params::WeightDivision DivisionOf(const recipe::Sharding& sharding, UnitExchange& ranks, WeightRest rest) {
  FT_CHECK(rest.values == nullptr || sharding.states_sliced);
  const bool moves_units = rest.tier != nullptr && rest.trained;
  const bool is_divided = sharding.states_sliced && (ranks.who().ranks > 1 || rest.values != nullptr);
  if (!is_divided && !moves_units) return {.tier = rest.tier};
  return {.ranks = &ranks,
          .slices = sharding.slices,
          .units = sharding.weights_sliced || moves_units,
          .tier = rest.tier,
          .values = moves_units ? rest.tier : rest.values};
}

Status CatchUnavailable(const std::function<Status()>& work) {
  try {
    return work();
  } catch (const params::UnitUnavailable& error) {
    return error.status();
  }
}

}  // namespace ft::shard
