// Devices through NVML's interface, from a fake library opened at run time.
#include "worker/node/agent/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>
#include <vector>

namespace ft::agent {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Devices, CardsAndSlicesOfNvml) {
  auto source = OpenNvml(FT_FAKE_NVML);
  ASSERT_TRUE(source.ok()) << source.status();
  auto devices = (*source)->List();
  ASSERT_TRUE(devices.ok());
  ASSERT_EQ(devices->size(), 3u);
  EXPECT_EQ((*devices)[0].uuid(), "GPU-1");
  EXPECT_EQ((*devices)[0].kind(), "gpu");
  EXPECT_EQ((*devices)[0].arch(), "8.0");
  EXPECT_EQ((*devices)[0].free_memory_bytes(), 39ll << 30);
  EXPECT_EQ((*devices)[1].uuid(), "MIG-21");
  EXPECT_EQ((*devices)[2].kind(), "mig");
  EXPECT_EQ((*devices)[2].total_memory_bytes(), 10ll << 30);
}

TEST(Devices, CardsTellWhatTheyAreDoing) {
  auto source = OpenNvml(FT_FAKE_NVML);
  ASSERT_TRUE(source.ok()) << source.status();
  const std::vector<CardReading> cards = (*source)->Read();
  ASSERT_EQ(cards.size(), 2u);  // The one in slices too.
  EXPECT_EQ(cards[0].uuid, "GPU-1");
  EXPECT_EQ(cards[0].model, "Fake A100");
  EXPECT_EQ(cards[0].utilization, 0.87);
  EXPECT_EQ(cards[0].memory_used_bytes, 1ll << 30);
  EXPECT_EQ(cards[0].memory_bytes, 40ll << 30);
  EXPECT_EQ(cards[0].temperature_celsius, 61);
  EXPECT_EQ(cards[0].power_watts, 254.5);
  EXPECT_EQ(cards[0].uncorrected_ecc_errors, 2);
  EXPECT_FALSE(cards[1].uncorrected_ecc_errors.has_value());  // It has no such memory.
}

// The problem of each device, "uuid: problem", where the fake has this trouble.
std::vector<std::string> ProblemsWith(const char* trouble) {
  ::setenv("FAKE_NVML_TROUBLE", trouble, 1);
  std::vector<std::string> problems;
  auto source = OpenNvml(FT_FAKE_NVML);
  EXPECT_TRUE(source.ok()) << source.status();
  const auto devices = (*source)->List();
  for (const auto& device : *devices) problems.push_back(device.uuid() + ": " + device.problem());
  ::unsetenv("FAKE_NVML_TROUBLE");
  return problems;
}

TEST(Devices, WhatRanksCannotUseSaysWhy) {
  EXPECT_THAT(ProblemsWith("none"), ElementsAre("GPU-1: ", "MIG-21: ", "MIG-22: "));
  EXPECT_THAT(ProblemsWith("old_card"),
              ElementsAre("GPU-1: has compute capability 6.1, 7.5 or newer is needed (Turing: T4, RTX 20)",
                          "MIG-21: ", "MIG-22: "));
  EXPECT_THAT(ProblemsWith("old_driver"),
              Each(HasSubstr("needs the NVIDIA driver 580 or newer, the installed one "
                             "knows CUDA 12.4: update the driver")));
  EXPECT_THAT(ProblemsWith("lost"), ElementsAre("GPU-1: ", HasSubstr("card 1: does not answer")));
}

TEST(Devices, WithoutTheLibraryThereAreNone) {
  EXPECT_EQ(OpenNvml("libno-such-thing.so.1").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(OpenNvml("libz.so.1").status().code(), absl::StatusCode::kNotFound);
}

TEST(Devices, CpuOffersItsCoresOrThoseConfigured) {
  EXPECT_GE(CpuDevice("n", 0).cores(), 1);
  EXPECT_EQ(CpuDevice("n", 3).cores(), 3);
  EXPECT_GT(CpuDevice("n", 0).total_memory_bytes(), 0);
}

}  // namespace
}  // namespace ft::agent
