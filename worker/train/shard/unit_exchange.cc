#include "worker/train/shard/unit_exchange.h"

namespace ft::shard {

void UnitExchange::Gather(const std::string& unit, const torch::Tensor& own, std::span<const size_t> counts,
                          const torch::Tensor& all) {
  const Status gathered = comm_.AllGather(own, counts, all, unit);
  if (!gathered.ok()) throw params::UnitUnavailable(gathered);
}

params::WeightDivision DivisionOf(const recipe::Sharding& sharding, UnitExchange& ranks) {
  if (ranks.who().ranks == 1 || !sharding.states_sliced) return {};
  return {.ranks = &ranks, .slices = sharding.slices, .units = sharding.weights_sliced};
}

Status CatchUnavailable(const std::function<Status()>& work) {
  try {
    return work();
  } catch (const params::UnitUnavailable& error) {
    return error.status();
  }
}

}  // namespace ft::shard
