#include "worker/node/agent/config.h"

#include <gtest/gtest.h>

namespace ft::agent {
namespace {

Status CompleteWith(const std::string& coordinator) {
  Config config;
  config.coordinator = coordinator;
  return config.Complete();
}

TEST(AgentConfigTest, PlainTextStaysOnThisMachine) {
  for (const char* local : {"", "unix:/run/worker.sock", "127.0.0.1:7718", "localhost:7718", "[::1]:7718"}) {
    EXPECT_TRUE(CompleteWith(local).ok()) << local;
  }
  for (const char* remote : {"10.0.0.5:7718", "coordinator.example:7718", "0.0.0.0:7718", "dns:///host:1"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CompleteWith(remote))) << remote;
  }
}

TEST(AgentConfigTest, TlsReachesOtherMachinesAndItsFilesGoTogether) {
  Config config;
  config.coordinator = "coordinator.example:7718";
  config.certificate = "a.crt";
  config.key = "a.key";
  EXPECT_TRUE(absl::IsInvalidArgument(config.Complete()));
  config.ca = "ca.crt";
  EXPECT_TRUE(config.Complete().ok());
  config.coordinator = "unix:/run/worker.sock";
  EXPECT_TRUE(absl::IsInvalidArgument(config.Complete()));
}

TEST(AgentConfigTest, HubsAreThoseOfTheEnvironmentThenOfTheFile) {
  Config config;
  config.TakeHubs(
      {.huggingface_endpoint = "https://mirror.example", .huggingface_cache = "/cache/hf", .offline = true});
  ASSERT_TRUE(config.Complete().ok());
  EXPECT_EQ(config.Hubs().huggingface_endpoint, "https://mirror.example");
  EXPECT_EQ(config.Hubs().modelscope_endpoint, "https://modelscope.cn");
  EXPECT_EQ(config.Hubs().huggingface_cache, "/cache/hf");
  EXPECT_EQ(config.Hubs().modelscope_cache, config.CacheDir() / "modelscope") << "without a home";
  EXPECT_TRUE(config.Hubs().offline);
  config.modelscope_endpoint = "http://mirror.example";
  const Status refused = config.Complete();
  EXPECT_NE(Message(refused).find("modelscope_endpoint: http://mirror.example would show tokens"),
            std::string_view::npos)
      << refused;
}

}  // namespace
}  // namespace ft::agent
