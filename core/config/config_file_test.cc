#include "core/config/config_file.h"

#include <gtest/gtest.h>

namespace ft::config {
namespace {

TEST(ConfigReader, TakesWhatIsGivenAndKeepsDefaults) {
  std::string data = "default";
  absl::Duration lease = absl::Seconds(15);
  int64_t cores = 3;
  ConfigReader reader;
  reader.Bind("data", &data);
  reader.Bind("lease", &lease);
  reader.Bind("cores", &cores);
  ASSERT_TRUE(reader.Read("data: /d\nlease: 100ms\n", "f.yaml").ok());
  EXPECT_EQ(data, "/d");
  EXPECT_EQ(lease, absl::Milliseconds(100));
  EXPECT_EQ(cores, 3);
  EXPECT_TRUE(reader.Read("", "f.yaml").ok());
}

TEST(ConfigReader, ReportsEveryProblemWithItsLine) {
  int64_t cores = 0;
  ConfigReader reader;
  reader.Bind("cores", &cores);
  const Status status = reader.Read("core: 1\ncores: many\n", "f.yaml");
  ASSERT_FALSE(status.ok());
  const std::string text(Message(status));
  EXPECT_NE(text.find("f.yaml:1: core: unknown key; known are cores"), std::string::npos) << text;
  EXPECT_NE(text.find("f.yaml:2: cores: must be a whole number"), std::string::npos) << text;
}

}  // namespace
}  // namespace ft::config
