#include "worker/node/agent/watchdog.h"

#include <algorithm>

#include "core/base/str_cat.h"

namespace ft::agent {
namespace {

constexpr size_t kSteps = 31;

}  // namespace

void Watchdog::OnRecord(const finetune::worker::v1::RankRecord& record, absl::Duration now) {
  // A disk that takes nothing any more is no progress, however often the rank says that it writes.
  const bool stuck = record.has_beat() && record.beat().bytes() > 0 && record.beat().bytes() == bytes_ &&
                     record.beat().phase() == phase_;
  if (!stuck) progress_ = now;
  if (record.has_beat()) {
    phase_ = record.beat().phase();
    bytes_ = record.beat().bytes();
  }
  if (record.has_result()) done_ = true;
  if (!record.has_step()) return;
  phase_ = "train";
  if (step_seconds_.size() < kSteps) step_seconds_.resize(step_seconds_.size() + 1);
  step_seconds_[next_] = record.step().seconds();
  next_ = (next_ + 1) % kSteps;
}

std::optional<std::string> Watchdog::Look(absl::Duration now) {
  if (now - looked_ > limits_.least / 2) progress_ += now - looked_;
  looked_ = now;
  const absl::Duration still = now - progress_;
  if (done_ || still < Limit()) return std::nullopt;
  return StrCat("no progress for ", absl::FormatDuration(absl::Floor(still, absl::Milliseconds(1))),
                " in phase ", phase_.empty() ? "start" : phase_);
}

absl::Duration Watchdog::Limit() const {
  if (phase_.empty() || phase_ == "load" || phase_ == "prepare" || phase_ == "download")
    return std::max(limits_.start, limits_.least);
  if (phase_ == "checkpoint" || phase_ == "write") return 5 * limits_.least;
  if (step_seconds_.empty()) return limits_.least;
  std::vector<double> sorted = step_seconds_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return std::max(limits_.least, absl::Seconds(5 * *middle));
}

}  // namespace ft::agent
