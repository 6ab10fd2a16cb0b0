// Streams, events, pinned memory and several devices through LibTorch's own interfaces. What is right is right under every schedule; what
// was forgotten is seen every time where work is late.
#include <torch/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <thread>

#include "gtest/gtest.h"
#include "tests/simdevice/test_device.h"

namespace ft::simdevice {
namespace {

using torch::Tensor;

TEST(SimDeviceStreamsOfTorch, PinnedMemoryIsKnown) {
  const Tensor pinned = Pinned(torch::ones({64}));
  EXPECT_TRUE(pinned.is_pinned());
  EXPECT_TRUE(pinned.narrow(0, 8, 8).is_pinned());
  EXPECT_FALSE(torch::empty({64}).is_pinned());
  EXPECT_TRUE(torch::ones({3}).pin_memory().is_pinned());
}

TEST(SimDeviceStreamsOfTorch, ADownloadThatNobodyWaitedForIsOld) {
  const Lazily lazily;
  const Tensor pinned = Pinned(torch::zeros({64}));
  pinned.copy_(torch::ones({64}, Gpu()), /*non_blocking=*/true);
  EXPECT_EQ(pinned.sum().item<float>(), 0);
  c10::impl::VirtualGuardImpl(at::kCUDA).synchronizeStream(MainStream());
  EXPECT_EQ(pinned.sum().item<float>(), 64);
}

TEST(SimDeviceStreamsOfTorch, AnUploadReadsPinnedMemoryLate) {
  const Lazily lazily;
  const Tensor pinned = Pinned(torch::ones({64}));
  const Tensor device = torch::empty({64}, Gpu());
  device.copy_(pinned, /*non_blocking=*/true);
  pinned.fill_(5);
  EXPECT_EQ(device.sum().item<float>(), 5 * 64);
}

TEST(SimDeviceStreamsOfTorch, PageableMemoryIsReadAtOnce) {
  Tensor host = torch::ones({64});
  const Tensor device = torch::empty({64}, Gpu());
  device.copy_(host, /*non_blocking=*/true);
  host.fill_(5);
  EXPECT_EQ(device.sum().item<float>(), 64);
  host.copy_(device, /*non_blocking=*/true);
  EXPECT_EQ(host.sum().item<float>(), 64);
}

// The sum of ones that another stream uploads; NaN where they were not waited for.
float SumOfUpload(bool with_event) {
  const Tensor pinned = Pinned(torch::ones({64}));
  const Tensor device = torch::empty({64}, Gpu());
  const c10::Stream other = OtherStream();
  c10::Event event(at::kCUDA);
  {
    const c10::StreamGuard guard(other);
    device.copy_(pinned, /*non_blocking=*/true);
    device.record_stream(other);
    event.record(other);
  }
  if (with_event) event.block(MainStream());
  const float sum = device.sum().item<float>();
  other.synchronize();
  return sum;
}

TEST(SimDeviceStreamsOfTorch, AMissingEventIsSeenEveryTime) {
  EXPECT_EQ(SumOfUpload(/*with_event=*/true), 64);
  const Lazily lazily;
  EXPECT_TRUE(std::isnan(SumOfUpload(/*with_event=*/false)));
  EXPECT_EQ(SumOfUpload(/*with_event=*/true), 64);
}

// The sum of ones that another stream downloads after their tensor is gone.
float SumOfDownload(bool record) {
  const Tensor out = Pinned(torch::zeros({64}));
  const c10::Stream other = OtherStream();
  {
    const Tensor device = torch::ones({64}, Gpu());
    c10::Event event(at::kCUDA);
    event.record(MainStream());
    event.block(other);
    const c10::StreamGuard guard(other);
    out.copy_(device, /*non_blocking=*/true);
    if (record) device.record_stream(other);
  }
  c10::impl::VirtualGuardImpl(at::kCUDA).synchronizeStream(MainStream());
  other.synchronize();
  return out.sum().item<float>();
}

TEST(SimDeviceStreamsOfTorch, AMissingRecordOfAStreamIsSeenEveryTime) {
  EXPECT_EQ(SumOfDownload(/*record=*/true), 64);
  const Lazily lazily;
  EXPECT_TRUE(std::isnan(SumOfDownload(/*record=*/false)));
  EXPECT_EQ(SumOfDownload(/*record=*/true), 64);
}

TEST(SimDeviceStreamsOfTorch, RecordingDoesNotPutStreamsInOrder) {
  const Lazily lazily;
  const Tensor pinned = Pinned(torch::ones({64})), device = torch::empty({64}, Gpu());
  const c10::Stream other = OtherStream();
  {
    const Tensor scratch = torch::empty({64}, Gpu());
    const c10::StreamGuard guard(other);
    scratch.copy_(pinned, /*non_blocking=*/true);
    device.copy_(pinned, /*non_blocking=*/true);
    scratch.record_stream(other);
    device.record_stream(other);
  }  // The freed block waits for both streams, and neither stream for the other.
  EXPECT_TRUE(std::isnan(device.sum().item<float>()));
  other.synchronize();
}

TEST(SimDeviceStreamsOfTorch, EventsAnswerWhenTheyAreAsked) {
  const Lazily lazily;
  const Tensor device = torch::ones({64}, Gpu());
  c10::Event event(at::kCUDA);
  EXPECT_TRUE(event.query());
  event.record(MainStream());
  int questions = 0;
  while (!event.query()) ++questions;
  EXPECT_GT(questions, 0);
  event.synchronize();
}

TEST(SimDeviceStreamsOfTorch, BackwardRunsOnTheStreamOfForward) {
  const c10::StreamGuard guard(OtherStream());
  const Tensor host = torch::arange(64).to(at::kFloat);
  const Tensor x = host.to(Gpu()).requires_grad_();
  const Tensor gradient = torch::autograd::grad({(x * x).sum()}, {x})[0];
  EXPECT_TRUE(at::equal(gradient.cpu(), 2 * host));
}

class SimDeviceSeveral : public testing::Test {
 protected:
  void SetUp() override {
    if (Device::Count() < 2) GTEST_SKIP() << "FT_SIM_DEVICES is 1";
  }
};

TEST_F(SimDeviceSeveral, EachHasMemoryOfItsOwn) {
  const int64_t used = static_cast<int64_t>(Device::At(1).memory_stats().allocated);
  const Tensor first = torch::ones({300}, Gpu(0)), second = torch::full({300}, 2.0f, Gpu(1));
  EXPECT_EQ(second.device(), Gpu(1));
  EXPECT_EQ(static_cast<int64_t>(Device::At(1).memory_stats().allocated), used + 1536);
  EXPECT_EQ((second * second).device(), Gpu(1));
  EXPECT_NE(Thrown([&] { first + second; }).find("same device"), std::string::npos);
  EXPECT_TRUE(at::equal((first.to(Gpu(1)) + second).cpu(), torch::full({300}, 3.0f)));
  EXPECT_TRUE(at::equal(second.to(Gpu(0)).cpu(), torch::full({300}, 2.0f)));
}

TEST_F(SimDeviceSeveral, TheCurrentDeviceIsTheThreads) {
  const c10::DeviceGuard guard(Gpu(1));
  EXPECT_EQ(torch::ones({3}, at::kCUDA).device(), Gpu(1));
  std::thread([] { EXPECT_EQ(torch::ones({3}, at::kCUDA).device(), Gpu(0)); }).join();
}

TEST_F(SimDeviceSeveral, RanksAsThreadsDoNotMeet) {
  std::vector<std::thread> ranks;
  std::vector<double> sums(2);
  for (c10::DeviceIndex rank = 0; rank < 2; ++rank) {
    ranks.emplace_back([&sums, rank] {
      Tensor values = torch::zeros({64}, Gpu(rank));
      for (int step = 0; step < 100; ++step) values.add_(rank + 1);
      sums[static_cast<size_t>(rank)] = values.sum().item<double>();
    });
  }
  for (std::thread& rank : ranks) rank.join();
  EXPECT_EQ(sums[0], 6400);
  EXPECT_EQ(sums[1], 12800);
}

TEST_F(SimDeviceSeveral, GuardsRefuseADeviceThatIsNotThere) {
  EXPECT_NE(Thrown([] { torch::ones({3}, at::Device(at::kCUDA, 7)); }).find("invalid device ordinal"),
            std::string::npos);
}

}  // namespace
}  // namespace ft::simdevice
