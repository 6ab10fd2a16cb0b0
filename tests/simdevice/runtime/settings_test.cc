#include "tests/simdevice/runtime/settings.h"

#include <cstring>
#include <map>

#include "gtest/gtest.h"

namespace ft::simdevice {
namespace {

std::map<std::string, std::string> variables;

const char* TextOf(const char* name) {
  const auto found = variables.find(name);
  return found == variables.end() ? nullptr : found->second.c_str();
}

std::string ProblemOf(std::map<std::string, std::string> set) {
  variables = std::move(set);
  Settings settings;
  std::string problem;
  return ReadSettings(TextOf, &settings, &problem) ? "" : problem;
}

TEST(SimDeviceSettings, AreReadFromTheEnvironment) {
  variables = {{"FT_SIM_SEED", "7"},
               {"FT_SIM_DEVICES", "2"},
               {"FT_SIM_MEMORY", "1048576"},
               {"FT_SIM_FAULT", "719@12"}};
  Settings settings;
  std::string problem;
  ASSERT_TRUE(ReadSettings(TextOf, &settings, &problem)) << problem;
  EXPECT_EQ(settings.schedule, Schedule::kSeeded);
  EXPECT_EQ(settings.seed, 7u);
  EXPECT_EQ(settings.devices, 2);
  EXPECT_EQ(settings.memory, 1048576u);
  EXPECT_EQ(settings.fault.kind, FaultPlan::Kind::kFails);
  EXPECT_EQ(settings.fault.error, kLaunchFailure);
  EXPECT_EQ(settings.fault.at, 12u);
  variables = {};
  ASSERT_TRUE(ReadSettings(TextOf, &settings, &problem));
  EXPECT_EQ(settings.schedule, Schedule::kLazy);
  EXPECT_EQ(settings.devices, 1);
  variables = {{"FT_SIM_EAGER", "1"}};
  ASSERT_TRUE(ReadSettings(TextOf, &settings, &problem));
  EXPECT_EQ(settings.schedule, Schedule::kEager);
}

TEST(SimDeviceSettings, AWrongValueIsNamed) {
  EXPECT_EQ(ProblemOf({{"FT_SIM_EAGER", "yes"}}), "FT_SIM_EAGER=yes: expected 0 or 1");
  EXPECT_EQ(ProblemOf({{"FT_SIM_SEED", "-1"}}), "FT_SIM_SEED=-1: expected a number");
  EXPECT_EQ(ProblemOf({{"FT_SIM_EAGER", "1"}, {"FT_SIM_SEED", "1"}}),
            "FT_SIM_SEED=1: expected no FT_SIM_EAGER=1 beside it");
  EXPECT_EQ(ProblemOf({{"FT_SIM_DEVICES", "9"}}), "FT_SIM_DEVICES=9: expected 1 to 8");
  EXPECT_EQ(ProblemOf({{"FT_SIM_MEMORY", "4G"}}), "FT_SIM_MEMORY=4G: expected bytes, from 1 MiB to 1 TiB");
}

TEST(SimDeviceSettings, FaultsAreAKindAndANumber) {
  FaultPlan plan;
  EXPECT_TRUE(ParseFault("oom@1", &plan));
  EXPECT_EQ(plan.kind, FaultPlan::Kind::kOutOfMemory);
  EXPECT_TRUE(ParseFault("700@3", &plan));
  EXPECT_EQ(plan.error, kIllegalAddress);
  EXPECT_TRUE(ParseFault("lost@100", &plan));
  EXPECT_EQ(plan.kind, FaultPlan::Kind::kLost);
  EXPECT_EQ(plan.at, 100u);
  for (const char* wrong : {"", "oom", "oom@", "oom@0", "oom@1x", "@1", "701@1", "oom@-1", "OOM@1"}) {
    EXPECT_FALSE(ParseFault(wrong, &plan)) << wrong;
  }
}

}  // namespace
}  // namespace ft::simdevice
