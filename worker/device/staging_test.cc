#include "worker/device/staging.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/test_device.h"

namespace ft::device {
namespace {

TEST(StagingTest, WhatIsUploadedComesBack) {
  const torch::Tensor host = torch::arange(300, torch::kFloat);
  const torch::Tensor there = Upload(host, TestDevice());
  EXPECT_EQ(there.device(), TestDevice());
  EXPECT_TRUE(torch::equal(Download(there), host));
  EXPECT_TRUE(torch::equal(Download(there.view({30, 10}).t()), host.view({30, 10}).t()));
}

TEST(StagingTest, OnTheHostNothingIsCopied) {
  const torch::Tensor host = torch::arange(300, torch::kFloat);
  EXPECT_TRUE(Upload(host, kHost).is_same(host));
  EXPECT_TRUE(Download(host).is_same(host));
}

TEST(StagingTest, ATensorIsFilledFromTheHostOrLeftAsItWas) {
  const torch::Tensor there = torch::zeros({8}, at::TensorOptions(TestDevice()).dtype(torch::kInt32));
  const Status filled = FillFromHost(there, [](std::span<std::byte> bytes) {
    EXPECT_EQ(bytes.size(), 32u);
    std::fill(bytes.begin(), bytes.end(), std::byte{1});
    return absl::OkStatus();
  });
  ASSERT_TRUE(filled.ok());
  EXPECT_EQ(there.cpu()[7].item<int32_t>(), 0x01010101);
  const Status refused =
      FillFromHost(there, [](std::span<std::byte>) { return absl::DataLossError("torn"); });
  EXPECT_TRUE(absl::IsDataLoss(refused));
  EXPECT_EQ(there.cpu()[0].item<int32_t>(), 0x01010101);
}

}  // namespace
}  // namespace ft::device
