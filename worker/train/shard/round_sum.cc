#include "worker/train/shard/round_sum.h"

#include <algorithm>

namespace ft::shard {

RoundSum::RoundSum(comm::Comm& comm, SliceExchange& exchange, params::ParameterStore& store, bool sliced)
    : comm_(comm),
      exchange_(exchange),
      store_(store),
      sliced_(sliced),
      round_(exchange.slices().slices()),
      buckets_(exchange.units().size()) {
  const int64_t elements = exchange.share().elements();
  for (int width = 1; width < round_ / comm.size(); width *= 2)
    partial_.push_back(torch::empty({elements}, store.values().options()));
}

std::vector<RoundSum::Group> RoundSum::GroupsOf(int64_t micro_batches) const {
  std::vector<Group> groups;
  for (int64_t first = 0; first < micro_batches; first += round_) {
    const int64_t end = std::min(first + round_, micro_batches);
    int number = 0;
    for (int64_t at = first; at < end; at += comm_.size()) {
      const auto contributors = static_cast<int>(std::min<int64_t>(comm_.size(), end - at));
      groups.push_back({at, contributors, number++, at + comm_.size() >= end, first == 0});
    }
  }
  return groups;
}

StatusOr<double> RoundSum::Run(int64_t micro_batches, const MicroBatchFunction& micro_batch,
                               const EmptyPassFunction& empty_pass) {
  const std::vector<Group> groups = GroupsOf(micro_batches);
  std::vector<double> losses;
  for (const Group& group : groups) {
    group_ = group;
    next_unit_ = static_cast<int>(buckets_.size()) - 1;
    double& loss = losses.emplace_back(0);
    if (comm_.rank() < group.contributors) {
      loss = micro_batch(group.first + comm_.rank(), *this);
    } else {
      empty_pass(*this);
    }
    EndUnit(0);  // What no gradient came for is exchanged as zeros: other ranks may have some.
    RETURN_IF_ERROR(failure_);
  }
  if (groups.empty()) {
    for (const SliceExchange::Part& unit : exchange_.units()) SumOf(unit).zero_();
  }
  if (!sliced_) RETURN_IF_ERROR(exchange_.Gather(store_.gradients()));
  return SumLosses(groups, losses);
}

torch::Tensor& RoundSum::BucketOf(int unit) {
  torch::Tensor& bucket = buckets_[static_cast<size_t>(unit)];
  const plan::Extent whole = exchange_.units()[static_cast<size_t>(unit)].unit;
  if (!bucket.defined()) bucket = torch::zeros({whole.end - whole.begin}, store_.values().options());
  return bucket;
}

torch::Tensor RoundSum::PlaceOf(int index) {
  const plan::TensorRange& range = store_.range(index);
  const int64_t unit_begin = exchange_.units()[static_cast<size_t>(range.tensor.unit)].unit.begin;
  return BucketOf(range.tensor.unit)
      .narrow(0, range.begin - unit_begin, range.elements)
      .view(range.tensor.shape);
}

void RoundSum::Add(int index, const torch::Tensor& gradient) { PlaceOf(index).add_(gradient); }

void RoundSum::AddRows(int index, const torch::Tensor& row_U, const torch::Tensor& gradient_UC) {
  params::AddToRows(PlaceOf(index), row_U, gradient_UC);
}

torch::Tensor RoundSum::Room(int index) {
  const auto unit = static_cast<size_t>(store_.range(index).tensor.unit);
  return buckets_[unit].defined() ? torch::Tensor() : PlaceOf(index);
}

void RoundSum::EndUnit(int unit) {
  for (; next_unit_ >= unit; --next_unit_) {
    if (failure_.ok()) failure_ = Exchange(next_unit_);
    buckets_[static_cast<size_t>(next_unit_)] = torch::Tensor();
  }
}

Status RoundSum::Exchange(int unit) {
  const SliceExchange::Part& part = exchange_.units()[static_cast<size_t>(unit)];
  if (part.unit.begin == part.unit.end) return absl::OkStatus();
  const torch::Tensor values = BucketOf(unit);
  // One rank owns everything, and the sum over it is what it has.
  if (comm_.size() == 1) {
    Fold(part, values);
    return absl::OkStatus();
  }
  // A first round of one group is the sum so far. Ranks without a micro-batch send nothing of what they hold.
  const bool is_sum = group_.is_first_round && group_.number == 0 && group_.last;
  const torch::Tensor sum = is_sum ? SumOf(part) : torch::empty({part.elements()}, values.options());
  RETURN_IF_ERROR(exchange_.ScatterSum(part, values, group_.contributors, sum));
  if (!is_sum) Fold(part, sum);
  return absl::OkStatus();
}

void RoundSum::Fold(const SliceExchange::Part& unit, const torch::Tensor& sum) {
  const auto waiting = [&](size_t level) { return partial_[level].narrow(0, unit.begin, unit.elements()); };
  torch::Tensor total = sum;
  size_t level = 0;
  // As in counting: ones at the end of the group's number are sums that wait for this one; behind the last group, all of them do.
  for (; group_.number >> level != 0; ++level) {
    const bool waits = (group_.number >> level) & 1;
    if (!waits && !group_.last) break;
    if (waits) at::add_out(total, waiting(level), total);
  }
  if (!group_.last) {
    waiting(level).copy_(total);
  } else if (group_.is_first_round) {
    SumOf(unit).copy_(total);
  } else {
    SumOf(unit).add_(total);
  }
}

torch::Tensor RoundSum::SumOf(const SliceExchange::Part& unit) const {
  if (sliced_) return store_.gradient_sums().narrow(0, unit.begin, unit.elements());
  return store_.gradients().narrow(0, unit.owned.begin, unit.elements());
}

StatusOr<double> RoundSum::SumLosses(const std::vector<Group>& groups, const std::vector<double>& own) {
  std::vector<double> all(own.size() * static_cast<size_t>(comm_.size()));
  RETURN_IF_ERROR(comm_.AllGather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all))));
  double loss = 0;
  std::vector<double> round;
  for (size_t turn = 0; turn < groups.size(); ++turn) {
    for (int rank = 0; rank < groups[turn].contributors; ++rank)
      round.push_back(all[static_cast<size_t>(rank) * own.size() + turn]);
    if (!groups[turn].last) continue;
    loss += comm::TreeAdd(round);
    round.clear();
  }
  return loss;
}

}  // namespace ft::shard
