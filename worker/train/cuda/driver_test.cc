#include "worker/train/cuda/driver.h"

#include "gtest/gtest.h"

namespace ft::cuda {
namespace {

TEST(Driver, AnOldDriverIsRefusedByTheOldestThatCan) {
  EXPECT_EQ(DriverRefusal(13000), "");
  EXPECT_EQ(DriverRefusal(13020), "");
  EXPECT_EQ(DriverRefusal(12080),
            "this build needs the NVIDIA driver 580 or newer, the installed one knows CUDA 12.8: update the "
            "driver, "
            "or use device: cpu");
  EXPECT_EQ(DriverRefusal(0), "no NVIDIA driver was found: this build needs the NVIDIA driver 580 or newer");
}

}  // namespace
}  // namespace ft::cuda
