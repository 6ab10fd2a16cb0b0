// Tiers of weights: bytes come back as they were left, wherever they begin.
#include "worker/model/params/weight_tier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/plan/weight_rest.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_device.h"
#include "worker/device/staging.h"
#include "worker/model/params/unit_gatherer.h"
#include "worker/train/offload/disk_weights.h"
#include "worker/train/offload/failing_file_fixture.h"
#include "worker/train/offload/host_weights.h"

namespace ft::offload {
namespace {

using ::testing::HasSubstr;
using torch::Tensor;

// More than three buffers of a disk's tier, and no whole piece at the end.
constexpr int64_t kBytes = (int64_t{13} << 20) + 1234;

OpenFile Files(const ft::testing::TempDir& dir, Fault fault = {}) {
  return [&dir, fault](int64_t bytes, const std::string&) -> StatusOr<OpenedTileFile> {
    return OpenedTileFile{.file = OpenFailing(dir.path(), bytes, fault), .remark = "a remark"};
  };
}

Tensor Numbers(int64_t bytes, int64_t first) {
  const Tensor numbers = torch::arange(first, first + bytes).mul_(7).remainder_(251).to(at::kByte);
  return device::Upload(numbers, TestDevice());
}

void CheckTier(params::WeightTier& tier) {
  const std::unique_ptr<params::RestingBytes> other = tier.Take("the other part", 100);
  const std::unique_ptr<params::RestingBytes> bytes = tier.Take("the part", kBytes);
  EXPECT_EQ(tier.bytes().held, plan::OnTier(100) + plan::OnTier(kBytes));
  Tensor all = torch::zeros({kBytes}, at::TensorOptions(at::kByte).device(TestDevice()));
  const auto expect_all = [&] {
    const Tensor read = torch::full_like(all, 9);
    bytes->Read(0, read);
    EXPECT_TRUE(torch::equal(read, all));
  };
  expect_all();
  // All of it, edges within a piece, over a buffer's end, and the end.
  for (const auto& [begin, count] : {std::pair{int64_t{0}, kBytes},
                                     {int64_t{1}, int64_t{1}},
                                     {int64_t{4095}, int64_t{4098}},
                                     {(int64_t{4} << 20) - 77, int64_t{5} << 20},
                                     {kBytes - 3, int64_t{3}},
                                     {int64_t{50}, int64_t{0}}}) {
    const Tensor part = Numbers(count, begin + count);
    bytes->Write(begin, part);
    all.narrow(0, begin, count).copy_(part);
    const Tensor read = torch::empty_like(part);
    bytes->Read(begin, read);
    EXPECT_TRUE(torch::equal(read, part)) << begin;
    expect_all();
  }
  const plan::TierBytes before = tier.bytes();
  bytes->Read(17, torch::empty_like(all).narrow(0, 0, 1000));
  EXPECT_EQ(tier.bytes().read, before.read + 1000);
  EXPECT_EQ(tier.bytes().written, before.written);
  const Tensor of_other = torch::ones({100}, all.options());
  other->Read(0, of_other);
  EXPECT_EQ(of_other.sum().item<int64_t>(), 0);
}

TEST(WeightTierTest, BytesOnDiskComeAsTheyWereLeft) {
  const ft::testing::TempDir dir;
  std::vector<std::string> remarks;
  const auto tier = MakeDiskWeights(Files(dir, {.most_bytes = 200 * plan::kTileAlignment}),
                                    {.pinned = !TestDevice().is_cpu()},
                                    [&](const std::string& remark) { remarks.push_back(remark); });
  CheckTier(*tier);
  EXPECT_EQ(tier->place(), dir.path());
  EXPECT_EQ(remarks, std::vector<std::string>{"a remark"});  // Once.
}

TEST(WeightTierTest, BytesInAHostsMemoryComeAsTheyWereLeft) {
  if (TestDevice().is_cpu()) GTEST_SKIP() << "needs a device";
  CheckTier(*MakeHostWeights(TestDevice()));
}

TEST(WeightTierTest, AHostWithoutRoomIsToldBeforeMemoryIsTaken) {
  if (TestDevice().is_cpu()) GTEST_SKIP() << "needs a device";
  const auto tier = MakeHostWeights(TestDevice(), [](int64_t bytes, const std::string& what) -> Status {
    return bytes > 5000 ? absl::ResourceExhaustedError(StrCat(what, " needs ", bytes)) : absl::OkStatus();
  });
  tier->Take("a small part", 4000);
  try {
    tier->Take("a large part", 5000);
    FAIL() << "8192 bytes were taken";
  } catch (const params::UnitUnavailable& error) {
    EXPECT_EQ(Message(error.status()), "a large part needs 8192");
  }
  EXPECT_EQ(tier->bytes().held, 4096);
}

TEST(WeightTierTest, ADiskThatFailsIsToldWithThePartAndErrno) {
  const ft::testing::TempDir dir;
  for (const auto& [fault, told, code] :
       {std::tuple{Fault{.write = 2, .error = ENOSPC},
                   "could not be written: No space left on device (errno 28)",
                   absl::StatusCode::kResourceExhausted},
        {Fault{.read = 2, .error = EIO}, "could not be read: Input/output error (errno 5)",
         absl::StatusCode::kAborted}}) {
    const auto tier = MakeDiskWeights(Files(dir, fault), {.pinned = !TestDevice().is_cpu()});
    const auto part = tier->Take("the frozen part of block.3", kBytes);
    try {
      part->Write(0, Numbers(kBytes, 0));
      part->Read(0, Numbers(kBytes, 0));
      FAIL() << told;
    } catch (const params::UnitUnavailable& error) {
      EXPECT_EQ(Message(error.status()),
                StrCat("the frozen part of block.3 in ", dir.path().string(), " ", told));
      EXPECT_EQ(error.status().code(), code);
    }
  }
}

TEST(WeightTierTest, AFileThatCannotBeOpenedEndsTheLoad) {
  const auto tier = MakeDiskWeights([](int64_t, const std::string& what) -> StatusOr<OpenedTileFile> {
    return absl::ResourceExhaustedError(StrCat(what, " needs more"));
  });
  EXPECT_THROW(tier->Take("the frozen part of head", 1), params::UnitUnavailable);
  EXPECT_EQ(tier->bytes().held, 0);
}

}  // namespace
}  // namespace ft::offload
