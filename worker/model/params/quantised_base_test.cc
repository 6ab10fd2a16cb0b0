#include "worker/model/params/quantised_base.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <thread>

#include "tests/support/temp_dir.h"
#include "tests/support/test_device.h"
#include "worker/device/staging.h"
#include "worker/model/ops/int8.h"
#include "worker/model/ops/nf4.h"

namespace ft::params {
namespace {

using ::ft::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

// Two matrices of numbers that every machine has alike, and how often they were read.
class CountedSource final : public weights::TensorSource {
 public:
  CountedSource() {
    for (const weights::TensorInfo& info : tensors_) {
      const torch::Tensor count = torch::arange(static_cast<int64_t>(info.elements()));
      values_.push_back(((count * 7919 % 1021 - 510).to(torch::kFloat) / 256).view(info.shape));
    }
  }
  const std::vector<weights::TensorInfo>& tensors() const override { return tensors_; }
  Status ReadBytes(const weights::TensorInfo& info, std::span<std::byte> out) const override {
    ++reads;
    const torch::Tensor& value = values_[info.name == "second" ? 1 : 0];
    std::copy_n(static_cast<const std::byte*>(value.const_data_ptr()), out.size(), out.begin());
    return absl::OkStatus();
  }
  std::vector<StoredMatrix> Matrices() const {
    return {{"one.weight", &tensors_[0]}, {"two.weight", &tensors_[1]}};
  }
  const torch::Tensor& value(size_t i) const { return values_[i]; }
  mutable std::atomic<int> reads = 0;

 private:
  const std::vector<weights::TensorInfo> tensors_ = {{"first", weights::DType::kF32, {96, 200}},
                                                     {"second", weights::DType::kF32, {33, 70}}};
  std::vector<torch::Tensor> values_;
};

class QuantisedBaseTest : public ::testing::Test {
 protected:
  std::unique_ptr<QuantisedBase> Open(BaseKind kind, const std::string& model = "model") {
    return QuantisedBase::Open({.folder = dir_.path() / "base",
                                .model_sha256 = model,
                                .remark = [this](const std::string& remark) { remarks_.push_back(remark); }},
                               kind, source_, source_.Matrices());
  }
  void ExpectReads(const QuantisedBase& base, BaseKind kind) {
    for (size_t i = 0; i < 2; ++i) {
      const StoredMatrix matrix = source_.Matrices()[i];
      const auto slot = base.Read(matrix.name, matrix.info->shape, TestDevice());
      ASSERT_TRUE(slot.ok()) << slot.status();
      const torch::Tensor& value = source_.value(i);
      const torch::Tensor expected = kind == BaseKind::kNf4
                                         ? ops::DequantiseNf4(ops::QuantiseNf4(value), at::kFloat)
                                         : ops::DequantiseInt8(ops::QuantiseInt8(value), at::kFloat);
      EXPECT_TRUE(torch::equal(device::Download((*slot)->Materialise(at::kFloat)), expected)) << matrix.name;
    }
  }
  fs::path Only(const char* extension) {
    fs::path found;
    for (const auto& entry : fs::directory_iterator(dir_.path() / "base")) {
      if (entry.path().extension() == extension) found = entry.path();
    }
    return found;
  }

  TempDir dir_;
  CountedSource source_;
  std::vector<std::string> remarks_;
};

TEST_F(QuantisedBaseTest, TheSecondThatOpensItQuantisesNothing) {
  for (const BaseKind kind : {BaseKind::kNf4, BaseKind::kInt8}) {
    source_.reads = 0;
    const auto first = Open(kind);
    ASSERT_NE(first, nullptr);
    EXPECT_EQ(source_.reads, 2);
    ExpectReads(*first, kind);
    const auto second = Open(kind);
    ASSERT_NE(second, nullptr);
    ExpectReads(*second, kind);
    EXPECT_EQ(source_.reads, 2);
  }
  EXPECT_THAT(remarks_, IsEmpty());
}

TEST_F(QuantisedBaseTest, FourBitsAreHalfAByteAWeightToRead) {
  const auto base = Open(BaseKind::kNf4);
  ASSERT_NE(base, nullptr);
  ExpectReads(*base, BaseKind::kNf4);
  EXPECT_LE(static_cast<double>(base->bytes_read()), 0.6 * (96 * 200 + 33 * 70));
}

TEST_F(QuantisedBaseTest, OtherFilesOrBitsAreAnotherBase) {
  ASSERT_NE(Open(BaseKind::kNf4), nullptr);
  ASSERT_NE(Open(BaseKind::kInt8), nullptr);
  ASSERT_NE(Open(BaseKind::kNf4, "another"), nullptr);
  EXPECT_EQ(source_.reads, 6);
}

TEST_F(QuantisedBaseTest, AFlippedBitIsNamedAndTheBaseIsBuiltAnew) {
  ASSERT_NE(Open(BaseKind::kNf4), nullptr);
  const fs::path file = Only(".safetensors");
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(-1, std::ios::end);
  const char last = static_cast<char>(stream.get());
  stream.seekp(-1, std::ios::end);
  stream.put(static_cast<char>(last ^ 1));
  stream.close();
  const auto damaged = Open(BaseKind::kNf4);
  ASSERT_NE(damaged, nullptr);
  EXPECT_TRUE(damaged->Read("one.weight", {96, 200}, at::kCPU).ok());
  const Status status = damaged->Read("two.weight", {33, 70}, at::kCPU).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(Message(status)), HasSubstr(file.string() + " is damaged at two.weight.offset"));
  source_.reads = 0;
  const auto anew = Open(BaseKind::kNf4);
  ASSERT_NE(anew, nullptr);
  EXPECT_EQ(source_.reads, 2);
  ExpectReads(*anew, BaseKind::kNf4);
}

TEST_F(QuantisedBaseTest, AFileThatIsCutShortIsNotUsed) {
  ASSERT_NE(Open(BaseKind::kNf4), nullptr);
  const fs::path file = Only(".safetensors");
  fs::resize_file(file, fs::file_size(file) / 2);
  EXPECT_EQ(Open(BaseKind::kNf4), nullptr);
  EXPECT_THAT(remarks_, ElementsAre(HasSubstr(file.string() + " is damaged and goes")));
  EXPECT_NE(Open(BaseKind::kNf4), nullptr);
}

// Whole by its digests, and of another matrix than the model has.
TEST_F(QuantisedBaseTest, ABaseOfOtherShapesIsNotUsed) {
  ASSERT_NE(Open(BaseKind::kInt8), nullptr);
  const fs::path file = Only(".safetensors");
  const std::vector<std::byte> zeros(96 * 200);
  const std::vector<weights::TensorInfo> infos = {{"one.weight.codes", weights::DType::kI8, {200, 96}}};
  ASSERT_TRUE(weights::WriteSafetensors(file, {{weights::TensorData{infos[0], zeros}}}, {}).ok());
  EXPECT_EQ(Open(BaseKind::kInt8), nullptr);
  EXPECT_THAT(remarks_, ElementsAre(HasSubstr("has no I8 tensor one.weight.codes of shape [96, 200]")));
  source_.reads = 0;
  EXPECT_NE(Open(BaseKind::kInt8), nullptr);
  EXPECT_EQ(source_.reads, 2);
}

// As a process that was killed while it built leaves it.
TEST_F(QuantisedBaseTest, AFileWithoutDigestsIsNone) {
  ASSERT_NE(Open(BaseKind::kNf4), nullptr);
  fs::remove(Only(".json"));
  const auto anew = Open(BaseKind::kNf4);
  ASSERT_NE(anew, nullptr);
  EXPECT_EQ(source_.reads, 4);
  ExpectReads(*anew, BaseKind::kNf4);
}

// Its last matrix ends the process that reads it, as kill -9 would.
class DeadlySource final : public weights::TensorSource {
 public:
  explicit DeadlySource(const CountedSource* source) : source_(*source) {}
  const std::vector<weights::TensorInfo>& tensors() const override { return source_.tensors(); }
  Status ReadBytes(const weights::TensorInfo& info, std::span<std::byte> out) const override {
    if (info.name == "second") ::kill(::getpid(), SIGKILL);
    return source_.ReadBytes(info, out);
  }

 private:
  const CountedSource& source_;
};

TEST_F(QuantisedBaseTest, WhatAKilledBuilderLeavesIsNone) {
  const pid_t builder = ::fork();
  ASSERT_GE(builder, 0);
  if (builder == 0) {
    at::set_num_threads(1);  // The parent's threads are not here.
    const DeadlySource deadly(&source_);
    QuantisedBase::Open({.folder = dir_.path() / "base", .model_sha256 = "model"}, BaseKind::kNf4, deadly,
                        source_.Matrices());
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(builder, &status, 0), builder);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  uintmax_t left = 0;  // Beside the lock, which is empty: a base that is begun.
  for (const auto& entry : fs::directory_iterator(dir_.path() / "base")) left += fs::file_size(entry);
  ASSERT_GT(left, 0u) << "it was killed before it wrote";
  const auto anew = Open(BaseKind::kNf4);
  ASSERT_NE(anew, nullptr);
  EXPECT_EQ(source_.reads, 2);
  ExpectReads(*anew, BaseKind::kNf4);
  EXPECT_THAT(remarks_, IsEmpty());
}

TEST_F(QuantisedBaseTest, OfManyAtOnceOneBuildsAndTheOthersWait) {
  std::vector<std::thread> threads;
  std::atomic<int> opened = 0;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { opened += Open(BaseKind::kNf4) != nullptr; });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(opened, 4);
  EXPECT_EQ(source_.reads, 2);
}

TEST_F(QuantisedBaseTest, AFolderThatCannotBeMadeIsARemark) {
  std::ofstream(dir_.path() / "base") << "a file";
  EXPECT_EQ(Open(BaseKind::kNf4), nullptr);
  EXPECT_THAT(remarks_, ElementsAre(HasSubstr("the cache of quantised bases is not used: ")));
  EXPECT_EQ(source_.reads, 0);
}

// Files of other programs' versions must not be read: whoever changes what quantising computes raises the version of the format.
TEST_F(QuantisedBaseTest, TheBytesOfThisVersion) {
  ASSERT_NE(Open(BaseKind::kNf4), nullptr);
  std::ifstream stream(Only(".safetensors"), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(stream)), {});
  EXPECT_EQ(Hex(Sha256Of(bytes)), "2e2c90e2797c45a555c6dedbf2598db8d98314dac5f0f9f5841bf0b291c3889b");
}

}  // namespace
}  // namespace ft::params
