// What no program may do to a device, done on purpose: each dies or is thrown. Child processes, so that the test lives.
#include <torch/types.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/rms_norm/rms_norm.h"
#include "tests/simdevice/test_device.h"

namespace ft::simdevice {
namespace {

using torch::Tensor;

// The code of the c10::AcceleratorError that a call throws; 0 for none.
template <typename Call>
int CodeOf(Call call) {
  try {
    call();
  } catch (const c10::AcceleratorError& error) {
    return error.get_error_code();
  }
  return 0;
}

TEST(SimDeviceNegative, TheHostReadsATensor) {
  const Tensor device = torch::ones({64}, Gpu());
  EXPECT_EXIT(std::_Exit(static_cast<const volatile float*>(device.const_data_ptr())[3] > 0),
              testing::KilledBySignal(SIGSEGV), "");
  EXPECT_EXIT(static_cast<volatile float*>(device.data_ptr())[3] = 0, testing::KilledBySignal(SIGSEGV), "");
}

TEST(SimDeviceNegative, AKernelOfTheHostReadsATensor) {
  const Tensor device = torch::ones({64}, Gpu());
  std::vector<float> sums(64);
  EXPECT_EXIT(kernels::ColumnSum(1, 64, 0, 64, device.const_data_ptr<float>(), sums.data()),
              testing::KilledBySignal(SIGSEGV), "");
}

TEST(SimDeviceNegative, ASystemCallIsGivenATensor) {
  const Tensor device = torch::ones({64}, Gpu());
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_EQ(::write(ends[1], device.const_data_ptr(), 64), -1);
  EXPECT_EQ(errno, EFAULT);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(SimDeviceNegative, WorkWritesPastTheEndOfATensor) {
  EXPECT_DEATH(
      {
        Tensor device = torch::zeros({10}, Gpu());
        std::byte* bytes = Device::At(0).Host(device.data_ptr());
        Device::At(0).Launch(Device::At(0).default_stream(), [bytes] { bytes[40] = std::byte{0}; });
        device = Tensor();
        Device::At(0).SynchronizeDevice();
      },
      "written past the end of 40 bytes");
}

TEST(SimDeviceNegative, AStreamWritesToATensorThatIsGone) {
  EXPECT_DEATH(
      {
        Device::SetSchedule(Schedule::kLazy);
        const Tensor pinned = Pinned(torch::ones({64}));
        const c10::Stream other = OtherStream();
        {
          const Tensor device = torch::empty({64}, Gpu());
          const c10::StreamGuard guard(other);
          device.copy_(pinned, /*non_blocking=*/true);
        }
        c10::impl::VirtualGuardImpl(at::kCUDA).synchronizeStream(MainStream());
        other.synchronize();
        torch::empty({64}, Gpu());
      },
      "written after it was freed");
}

// For child processes: they end with 0 when it is as it should be.
[[noreturn]] void EndWith(bool right) { std::_Exit(right ? 0 : 1); }

void IndexBehindTheEnd() {
  const Tensor device = torch::ones({4, 4}, Gpu()), rows = torch::tensor({1, 9}).to(Gpu());
  EndWith(CodeOf([&] { device.index_select(0, rows).cpu(); }) == kAssert);
}

TEST(SimDeviceNegative, AnIndexLiesBehindTheEnd) {
  EXPECT_EXIT(IndexBehindTheEnd(), testing::ExitedWithCode(0), "work failed");
}

void SegmentBehindTheRows() {
  const Tensor x = torch::zeros({7, 2, 8}, torch::dtype(at::kBFloat16).device(Gpu()));
  const Tensor ends = torch::tensor({0, 9}, at::kInt).to(Gpu());
  EndWith(CodeOf([&] {
            std::get<0>(at::_flash_attention_forward(x, x, x, ends, ends, 9, 9, 0.0, true, false)).cpu();
          }) == kAssert);
}

TEST(SimDeviceNegative, ASegmentOfAttentionLiesBehindTheRows) {
  EXPECT_EXIT(SegmentBehindTheRows(), testing::ExitedWithCode(0), "segment 0 ends at query 9 of 7");
}

void MeetAFault(Error error) {
  Device::SetSchedule(Schedule::kLazy);
  Tensor device = torch::ones({64}, Gpu());
  Device::At(0).SetFaultPlan({FaultPlan::Kind::kFails, error, 2});
  device.add_(1).add_(1).add_(1);  // The calls go on: nobody has looked yet.
  const bool late = CodeOf([&] { device.cpu(); }) == error;
  const bool stays = CodeOf([] { torch::ones({1}, Gpu()); }) == error;
  device = Tensor();  // Destructors do not throw.
  EndWith(late && stays);
}

TEST(SimDeviceNegative, AFaultEndsTheDevice) {
  for (const Error error : {kIllegalAddress, kLaunchFailure}) {
    EXPECT_EXIT(MeetAFault(error), testing::ExitedWithCode(0), "");
  }
}

void LoseTheDevice() {
  Tensor device = torch::ones({64}, Gpu());
  Device::At(0).SetFaultPlan({FaultPlan::Kind::kLost, kNone, 1});
  const bool at_once = CodeOf([&] { device.add_(1); }) == kLost;
  const bool memory = CodeOf([] { c10::getDeviceAllocator(at::kCUDA)->getMemoryInfo(0); }) == kLost;
  EndWith(at_once && memory);
}

TEST(SimDeviceNegative, ALostDeviceAnswersNothing) {
  EXPECT_EXIT(LoseTheDevice(), testing::ExitedWithCode(0), "");
}

TEST(SimDeviceNegative, AnAllocationFailsOnRequest) {
  Device::At(0).SetFaultPlan({FaultPlan::Kind::kOutOfMemory, kNone, 2});
  const Tensor first = torch::empty({8}, Gpu());
  EXPECT_THROW(torch::empty({8}, Gpu()), c10::OutOfMemoryError);
  EXPECT_EQ(torch::ones({8}, Gpu()).sum().item<float>(), 8);
  Device::At(0).SetFaultPlan({});
}

}  // namespace
}  // namespace ft::simdevice
