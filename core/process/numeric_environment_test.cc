#include "core/process/numeric_environment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

namespace ft::process {
namespace {

TEST(NumericEnvironment, ReplacesSettingsAndKeepsEverythingElse) {
  ::setenv("MKL_CBWR", "AUTO", 1);
  ::setenv("MKL_CBWR_OTHER", "kept", 1);
  const std::vector<std::string> all = EnvironmentWithNumericSettings();
  const auto count = [&](const std::string& start) {
    return std::count_if(all.begin(), all.end(),
                         [&](const std::string& text) { return text.starts_with(start); });
  };
  EXPECT_EQ(count("MKL_CBWR="), 1);
  EXPECT_EQ(count("MKL_CBWR=AUTO"), 0);
  EXPECT_EQ(count("MKL_CBWR_OTHER=kept"), 1);
  EXPECT_EQ(count("PATH="), 1);
  EXPECT_EQ(count("OMP_WAIT_POLICY=PASSIVE"), 1);
  EXPECT_EQ(count("GOMP_SPINCOUNT="), 1);
}

}  // namespace
}  // namespace ft::process
