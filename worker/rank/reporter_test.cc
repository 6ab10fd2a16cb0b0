// The beats of a rank that works, writes or waits.
#include "worker/rank/reporter.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/temp_dir.h"
#include "worker/rank/failure.h"

namespace ft::rank {
namespace {

class OrdinaryReporter : public ::testing::Test {
 protected:
  std::vector<records::Beat> Beats() {
    std::vector<records::Beat> beats;
    const auto all = records::ReadRecords(dir_ / "records.ftr");
    EXPECT_TRUE(all.ok()) << all.status();
    for (const records::Record& record : *all) beats.push_back(std::get<records::Beat>(record.body));
    return beats;
  }
  ft::testing::TempDir dir_;
  StatusOr<Reporter> reporter_ = Reporter::Open(dir_ / "records.ftr");
};

TEST_F(OrdinaryReporter, AWaitSaysWhatForAndCountsAsNoProgress) {
  reporter_->Beat("train");
  reporter_->Wait({"tree sum", 7, 1});
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  reporter_->Wait({"tree sum", 7, 1});  // Nothing new: not told so soon again.
  reporter_->Wait({"barrier", 8, -1});
  const auto beats = Beats();
  ASSERT_EQ(beats.size(), 3u);
  EXPECT_EQ(beats[1].phase, "wait");
  EXPECT_EQ(beats[1].wait, (records::Wait{"tree sum", 7, 1}));
  EXPECT_EQ(beats[1].count, beats[0].count);
  EXPECT_EQ(beats[2].wait, (records::Wait{"barrier", 8, -1}));
  EXPECT_EQ(beats[2].count, beats[0].count);
}

TEST_F(OrdinaryReporter, WritingTellsBytesAndIsProgress) {
  reporter_->Wrote("checkpoint", 1 << 20);
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  reporter_->Wrote("checkpoint", 5 << 20);
  const auto beats = Beats();
  ASSERT_EQ(beats.size(), 2u);
  EXPECT_EQ(beats[0].bytes, 1 << 20);
  EXPECT_EQ(beats[1].bytes, 5 << 20);
  EXPECT_EQ(beats[1].phase, "checkpoint");
  EXPECT_GT(beats[1].count, beats[0].count);
  EXPECT_EQ(beats[1].wait, records::Wait());
}

TEST(OrdinaryFailure, SamplesWithNothingToLearnAreTheDatasFault) {
  EXPECT_EQ(StepFailureClass(absl::InvalidArgumentError("step 1 has no token that carries loss")), "DATA");
  EXPECT_EQ(StepFailureClass(absl::FailedPreconditionError("step 1: the loss is not finite")), "NAN_LOSS");
  EXPECT_EQ(StepFailureClass(absl::AbortedError("tile 3 of 20 could not be read")), "CHECKPOINT_IO");
  EXPECT_EQ(StepFailureClass(absl::ResourceExhaustedError("tile 3 of 20 could not be written")),
            "CHECKPOINT_IO");
}

}  // namespace
}  // namespace ft::rank
