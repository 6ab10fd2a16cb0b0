// How the agent stops: its ranks checkpoint first, with or without a coordinator, and what they wrote is delivered.
#include <spdlog/spdlog.h>

#include "worker/node/agent/agent.h"

namespace ft::agent {
namespace {

constexpr absl::Duration kPrepareGrace = absl::Seconds(10);
// What is left of the time to stop for telling of ranks that had to be killed.
constexpr absl::Duration kDeliverTime = absl::Seconds(10);
constexpr std::chrono::seconds kLastWordTimeout{2};

}  // namespace

// The ranks are not left to the coordinator's stop: it may be away, and ranks of one gang agree on a stop at a step's edge,
// whichever of them hears of it first.
void Agent::Drain(absl::Duration grace) {
  if (draining_) return;
  draining_ = true;
  grace -= std::min(grace / 10, kDeliverTime);
  spdlog::info("asked to stop: {} rank(s) checkpoint and deliver within {}", runs_.size(),
               absl::FormatDuration(grace));
  for (const auto& [key, run] : runs_) {
    const bool checkpoint = run->kind() != wpb::PREPARE;
    run->Stop(checkpoint, checkpoint ? grace : std::min(grace, kPrepareGrace));
  }
  if (!session_.empty()) Renew();
}

void Agent::TryToLeave() {
  if (!ready_ || !runs_.empty() || leaving_) return;
  if (registering_) return;  // Its answer comes, or its deadline.
  leaving_ = true;
  if (session_.empty()) {
    Tell({{"op", "drained"}});
    return;
  }
  wpb::RenewLeaseRequest request;
  request.set_session_id(session_);
  request.set_sequence(++renew_sequence_);
  request.set_draining(true);
  request.set_leaving(true);
  client_.Call<wpb::RenewLeaseRequest, wpb::RenewLeaseResponse>(
      &Client::Async::RenewLease, std::move(request),
      [this](const Status& status, const wpb::RenewLeaseResponse&) {
        if (!status.ok())
          spdlog::warn("the coordinator was not told of our end: {}", std::string(Message(status)));
        Tell({{"op", "drained"}});
      },
      kLastWordTimeout);
}

}  // namespace ft::agent
