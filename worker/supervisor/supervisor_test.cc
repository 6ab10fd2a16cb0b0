#include "worker/supervisor/supervisor.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "tests/support/temp_dir.h"

namespace ft::supervisor {
namespace {

using rankhost::Channel;
using rankhost::RankKey;

constexpr int kWaitMillis = 10'000;

// The supervisor runs in a child of its own; its agent is a small program that the test speaks to through two
// means: files with requests, and a log. See tests/support/fake_agent.
class SupervisorTest : public ::testing::Test {
 protected:
  void StartSupervisor() {
    supervisor_ = ::fork();
    if (supervisor_ != 0) return;
    auto supervisor = Supervisor::Create({.state_dir = dir_ / "state",
                                          .agent_argv = {"/bin/sh", "-c", Script()},
                                          .restart_min = std::chrono::milliseconds(20),
                                          .stop_grace = std::chrono::milliseconds(500)});
    ::_exit(supervisor.ok() && (*supervisor)->Run().ok() ? 0 : 1);
  }

  // Sends the prepared requests to the supervisor and copies every packet it gets into agent.log, one line each.
  std::string Script() const {
    return StrCat("exec ", helper_.string(), " ", (dir_ / "requests").string(), " ", (dir_ / "agent.log").string());
  }

  bool WaitFor(const std::function<bool()>& condition) {
    for (int i = 0; i < kWaitMillis / 10; ++i) {
      if (condition()) return true;
      ::usleep(10'000);
    }
    return false;
  }

  std::string AgentLog() { return ReadFile(dir_ / "agent.log").value_or(""); }
  bool Logged(std::string_view text) {
    return WaitFor([&] { return AgentLog().find(text) != std::string::npos; });
  }

  void Request(const rankhost::Message& message) {
    // One file a request; the agent takes them in order of their names.
    const std::string name = StrCat(1000 + requests_++, ".json");
    ASSERT_TRUE(MakeDirectories(dir_ / "requests").ok());
    ASSERT_TRUE(WriteFileDurably(dir_ / "requests" / name, Encode(message)).ok());
  }

  rankhost::Start Sleeper(int rank, const std::string& script) {
    return {{"job", 1, rank}, {"/bin/sh", "-c", script}, dir_.path().string(), (dir_ / "out").string(), (dir_ / "err").string()};
  }

  void TearDown() override {
    if (supervisor_ <= 0) return;
    ::kill(supervisor_, SIGTERM);
    int status = 0;
    if (!WaitFor([&] { return ::waitpid(supervisor_, &status, WNOHANG) == supervisor_; })) {
      ::kill(supervisor_, SIGKILL);
      ::waitpid(supervisor_, &status, 0);
      ADD_FAILURE() << "the supervisor did not stop";
    }
  }

  ft::testing::TempDir dir_;
  const std::filesystem::path helper_ = FT_FAKE_AGENT;
  pid_t supervisor_ = -1;
  int requests_ = 0;
};

TEST_F(SupervisorTest, RankRunsAndItsEndIsTold) {
  StartSupervisor();
  ASSERT_TRUE(Logged("\"inventory\""));
  Request(Sleeper(0, "echo hello; exit 7"));
  ASSERT_TRUE(Logged("\"exited\"")) << AgentLog();
  EXPECT_NE(AgentLog().find("\"status\":1792"), std::string::npos) << AgentLog();  // 7 << 8
  EXPECT_EQ(*ReadFile(dir_ / "out"), "hello\n");
}

TEST_F(SupervisorTest, RankOutlivesItsAgentAndTheNextOneGetsItsControlSocket) {
  StartSupervisor();
  Request(Sleeper(0, "read word <&3; echo got $word; sleep 60"));
  ASSERT_TRUE(Logged("\"started\""));
  const std::string log = AgentLog();
  const pid_t agent = std::stoi(log.substr(log.find("agent pid ") + 10));
  ASSERT_EQ(::kill(agent, SIGKILL), 0);
  ASSERT_TRUE(Logged("\"control\"")) << AgentLog();
  // The helper writes "stop" to every control socket it is given.
  EXPECT_TRUE(WaitFor([&] { return ReadFile(dir_ / "out").value_or("") == "got stop\n"; }));
}

TEST_F(SupervisorTest, SignalReachesTheWholeGroup) {
  StartSupervisor();
  Request(Sleeper(0, "trap '' TERM; sleep 60 & echo $! > child; wait"));
  ASSERT_TRUE(WaitFor([&] { return ReadFile(dir_ / "child").value_or("").find('\n') != std::string::npos; }));
  const pid_t child = std::stoi(*ReadFile(dir_ / "child"));
  Request(rankhost::Signal{{"job", 1, 0}, SIGKILL});
  ASSERT_TRUE(Logged("\"exited\""));
  EXPECT_TRUE(WaitFor([&] { return ::kill(child, 0) != 0; }));
}

TEST_F(SupervisorTest, ProgramThatIsMissingIsNamed) {
  StartSupervisor();
  rankhost::Start start = Sleeper(0, "");
  start.argv = {"/no/such/program"};
  Request(start);
  ASSERT_TRUE(Logged("start_failed"));
  EXPECT_NE(AgentLog().find("/no/such/program"), std::string::npos);
}

TEST_F(SupervisorTest, NextSupervisorReportsRanksOfTheOneThatWasKilled) {
  StartSupervisor();
  Request(Sleeper(0, "echo $$ > pid; exec sleep 60"));
  ASSERT_TRUE(Logged("\"started\""));  // From here on it is written down.
  ASSERT_TRUE(WaitFor([&] { return ReadFile(dir_ / "pid").value_or("").find('\n') != std::string::npos; }));
  const pid_t rank = std::stoi(*ReadFile(dir_ / "pid"));
  ::kill(supervisor_, SIGKILL);
  ::waitpid(supervisor_, nullptr, 0);
  std::filesystem::remove(dir_ / "agent.log");
  std::filesystem::remove_all(dir_ / "requests");
  StartSupervisor();
  ASSERT_TRUE(Logged("\"exited\":true"));
  EXPECT_TRUE(WaitFor([&] { return ::kill(rank, 0) != 0; }));  // A shell does not ask to die with its parent.
}

TEST_F(SupervisorTest, SecondSupervisorOnOneFolderIsRefused) {
  StartSupervisor();
  ASSERT_TRUE(Logged("\"inventory\""));
  auto second = Supervisor::Create({.state_dir = dir_ / "state"});
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
}

}  // namespace
}  // namespace ft::supervisor
