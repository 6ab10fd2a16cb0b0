#include "worker/node/agent/rank_run.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "tests/support/temp_dir.h"

namespace ft::agent {
namespace {

// What has arrived at the rank's end of its control socket.
std::string Heard(const UniqueFd& end) {
  char buffer[256];
  const ssize_t got = ::recv(end.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
  return got > 0 ? std::string(buffer, static_cast<size_t>(got)) : std::string();
}

class OrdinaryRankRun : public ::testing::Test {
 protected:
  OrdinaryRankRun() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ours_ = UniqueFd(ends[0]);
    ranks_ = UniqueFd(ends[1]);
  }
  void Start() {
    process::RankProcess process;
    process.pid = 1234;
    run_->OnProcess(process, std::move(ours_));
  }
  ft::testing::TempDir dir_;
  RunHost host_;
  std::shared_ptr<RankRun> run_ = std::make_shared<RankRun>(RankKey{.job_id = "j", .epoch = 1, .rank = 0},
                                                            wpb::TRAIN, dir_.path(), host_);
  UniqueFd ours_, ranks_;
};

TEST_F(OrdinaryRankRun, ACheckpointAskedForBeforeTheRankRunsIsTakenOnce) {
  run_->TakeCheckpoint();
  EXPECT_EQ(Heard(ranks_), "");
  Start();
  EXPECT_EQ(Heard(ranks_), "checkpoint\n");
  EXPECT_EQ(Heard(ranks_), "");
  run_->TakeCheckpoint();
  EXPECT_EQ(Heard(ranks_), "checkpoint\n");
}

}  // namespace
}  // namespace ft::agent
