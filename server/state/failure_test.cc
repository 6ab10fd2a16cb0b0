#include "server/state/failure.h"

#include <gtest/gtest.h>

namespace ft::state {
namespace {

int AttemptsBeforeGivingUp(pb::FailureClass failure_class, bool progressed) {
  spb::StoredJob job;
  for (int attempt = 1; attempt <= 100; ++attempt) {
    if (ChargeFailure(Policy(), wpb::TRAIN, failure_class, progressed, job).give_up) return attempt;
  }
  return -1;
}

TEST(ChargeFailure, EveryClassHasItsBudget) {
  for (const auto& [failure_class, attempts] : {std::pair{pb::CONFIG, 1},
                                                {pb::DEVICE_OOM, 1},
                                                {pb::NAN_LOSS, 1},
                                                {pb::USER_CODE, 2},
                                                {pb::DATA, 2},
                                                {pb::HOST_OOM, 2},
                                                {pb::HANG, 4},
                                                {pb::NETWORK, 6},
                                                {pb::CHECKPOINT_IO, 6},
                                                {pb::UNKNOWN_EXIT, 6},
                                                {pb::NODE_LOST, -1},
                                                {pb::PREEMPTED, -1},
                                                {pb::CONTROL_PLANE, -1}}) {
    EXPECT_EQ(AttemptsBeforeGivingUp(failure_class, false), attempts) << pb::FailureClass_Name(failure_class);
  }
}

TEST(ChargeFailure, ProgressRefillsOnlyWhatCountsInARow) {
  EXPECT_EQ(AttemptsBeforeGivingUp(pb::UNKNOWN_EXIT, true), -1);
  EXPECT_EQ(AttemptsBeforeGivingUp(pb::HANG, true), 4);
}

TEST(ChargeFailure, SamePreparationFailsTheSameWay) {
  spb::StoredJob job;
  EXPECT_TRUE(ChargeFailure(Policy(), wpb::PREPARE, pb::DATA, false, job).give_up);
}

TEST(ChargeFailure, LossOfNodesIsLimitedInRate) {
  spb::StoredJob job;
  const Policy policy;
  const auto wait = [&] { return ChargeFailure(policy, wpb::TRAIN, pb::NODE_LOST, false, job).wait; };
  EXPECT_EQ(wait(), absl::ZeroDuration());
  EXPECT_EQ(wait(), absl::Seconds(1));
  EXPECT_EQ(wait(), absl::Seconds(2));
  for (int i = 0; i < 40; ++i) wait();
  EXPECT_EQ(wait(), policy.max_backoff);
  EXPECT_EQ(ChargeFailure(policy, wpb::TRAIN, pb::NODE_LOST, true, job).wait, absl::ZeroDuration());
}

}  // namespace
}  // namespace ft::state
