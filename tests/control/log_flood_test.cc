// A rank that prints faster than anybody listens.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <regex>

#include "tests/control/started_cluster.h"

namespace ft::testing {
namespace {

constexpr int64_t kLogBytes = 128 << 10;
constexpr int64_t kSteps = 400, kPadding = 20'000;

class LogFlood : public StartedCluster {
 protected:
  LogFlood() : StartedCluster({.worker = "log_bytes: " + std::to_string(kLogBytes) + "\n"}) {}

  struct stat StdoutOf(const pb::Job& job) const {
    struct stat info {};
    const std::string path = cluster_.RunDir(IdOf(job)) + "/attempts/2/rank0/stdout.log";
    if (::stat(path.c_str(), &info) != 0) info = {};
    return info;
  }
  std::string Logs(const std::string& job) {
    pb::StreamLogsRequest request;
    request.set_job(job);
    request.set_follow(true);
    const auto context = Context();
    const auto logs = pb::LogService::NewStub(cluster_.channel())->StreamLogs(context.get(), request);
    std::string text;
    for (pb::LogChunk chunk; logs->Read(&chunk);) {
      if (chunk.stream() == "stdout") text += chunk.data();
    }
    EXPECT_TRUE(logs->Finish().ok());
    return text;
  }
};

TEST_F(LogFlood, WithoutACoordinatorTheDiskIsNotFilledAndEveryLostByteIsCounted) {
  const pb::Job job =
      Submit({.name = "flood",
              .labels = "  fake_steps: \"" + std::to_string(kSteps) +
                        "\"\n  fake_step_ms: \"5\"\n  fake_flood: \"" + std::to_string(kPadding) + "\"\n"});
  cluster_.WaitFor(job.name(), [](const pb::Job& now) { return now.progress().step() >= 5; });
  cluster_.KillCoordinator();
  for (const int64_t size : {2 << 20, 4 << 20}) {
    ASSERT_TRUE(Eventually([&] { return StdoutOf(job).st_size > size; })) << StdoutOf(job).st_size;
    ASSERT_TRUE(Eventually([&] { return cluster_.AgentPid() != 0; }));
    // What it prints while the agent is away is more than may stay; whoever comes next makes up for it.
    cluster_.Signal(cluster_.AgentPid(), SIGKILL);
  }
  EXPECT_TRUE(Eventually([&] { return StdoutOf(job).st_blocks * 512 <= kLogBytes; }))
      << StdoutOf(job).st_blocks;
  cluster_.StartCoordinator();
  cluster_.WaitForState(job.name(), pb::SUCCEEDED);

  int64_t printed = 0, lost = 0;
  for (int64_t step = 1; step <= kSteps; ++step) {
    printed += static_cast<int64_t>(("step " + std::to_string(step)).size()) + kPadding + 1;
  }
  std::string text = Logs("flood");
  const std::regex missing("\n\\[([0-9]+) bytes are missing here: the node could not keep them\\]\n");
  for (std::smatch match; std::regex_search(text, match, missing);) {
    lost += std::stoll(match[1]);
    text = match.prefix().str() + match.suffix().str();
  }
  EXPECT_GT(lost, 0);
  EXPECT_EQ(static_cast<int64_t>(text.size()) + lost, printed);
  EXPECT_TRUE(text.starts_with("step 1."));
  EXPECT_TRUE(text.ends_with(".\n"));
}

}  // namespace
}  // namespace ft::testing
