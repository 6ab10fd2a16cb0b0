#include "core/records/record_file.h"

#include <gtest/gtest.h>

#include <fstream>

namespace ft::records {
namespace {

namespace fs = std::filesystem;

class RecordFileTest : public testing::Test {
 protected:
  RecordFileTest()
      : path_(fs::path(testing::TempDir()) / (std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + ".ftr")) {
    fs::remove(path_);
  }
  ~RecordFileTest() override { fs::remove(path_); }
  fs::path path_;
};

TEST_F(RecordFileTest, EveryKindComesBack) {
  auto writer = RecordWriter::Open(path_);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->Write(Plan{.total_steps = 7}).ok());
  ASSERT_TRUE(writer->Write(Step{.step = 1, .loss = 2.5, .phase_seconds = {{"forward", 0.25}}}).ok());
  ASSERT_TRUE(writer->Write(Eval{.step = 1, .name = "holdout", .loss = 3}).ok());
  ASSERT_TRUE(writer->Write(Beat{.count = 4, .phase = "train"}).ok());
  ASSERT_TRUE(writer->Write(Checkpoint{.step = 1, .path = "p"}).ok());
  ASSERT_TRUE(writer->Write(Sample{.step = 1, .prompt = "你", .text = "好"}).ok());
  ASSERT_TRUE(writer->Write(Note{.severity = "INFO", .reason = "R"}).ok());
  ASSERT_TRUE(writer->Write(Prepared{.samples = 2, .report = {"a", "b"}}).ok());
  ASSERT_TRUE(writer->Write(Result{.state = ResultState::kSucceeded, .step = 7}).ok());
  ASSERT_TRUE(writer->Write(Rendezvous{.address = "127.0.0.1:4000"}).ok());
  auto records = ReadRecords(path_);
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->size(), 10u);
  for (size_t i = 0; i < records->size(); ++i) EXPECT_EQ((*records)[i].sequence, i + 1);
  EXPECT_EQ(std::get<Step>((*records)[1].body).phase_seconds.at("forward"), 0.25);
  EXPECT_EQ(std::get<Sample>((*records)[5].body).text, "好");
  EXPECT_EQ(std::get<Prepared>((*records)[7].body).report.size(), 2u);
  EXPECT_EQ(std::get<Result>((*records)[8].body).state, ResultState::kSucceeded);
  EXPECT_EQ(std::get<Rendezvous>((*records)[9].body).address, "127.0.0.1:4000");
}

TEST_F(RecordFileTest, TornTailIsCutAtEveryLengthAndSequenceGoesOn) {
  { ASSERT_TRUE(RecordWriter::Open(path_)->Write(Beat{.count = 1, .phase = "load"}).ok()); }
  const auto whole = fs::file_size(path_);
  { ASSERT_TRUE(RecordWriter::Open(path_)->Write(Beat{.count = 2, .phase = "load"}).ok()); }
  const auto both = fs::file_size(path_);
  for (auto size = both - 1; size >= whole; --size) {
    fs::resize_file(path_, size);
    EXPECT_EQ(ReadRecords(path_)->size(), 1u) << size;
  }
  auto writer = RecordWriter::Open(path_);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->Write(Beat{.count = 3, .phase = "train"}).ok());
  const auto records = ReadRecords(path_);
  ASSERT_EQ(records->size(), 2u);
  EXPECT_EQ(records->back().sequence, 2u);
}

TEST_F(RecordFileTest, FlippedBitIsDataLoss) {
  { ASSERT_TRUE(RecordWriter::Open(path_)->Write(Note{.message = "hello"}).ok()); }
  const std::string whole = *ReadFile(path_, 1 << 20);
  // Behind the length, which may as well be that of a frame still being written.
  for (size_t at = sizeof(uint32_t); at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << damaged;
    EXPECT_TRUE(absl::IsDataLoss(ReadRecords(path_).status())) << at;
  }
}

TEST_F(RecordFileTest, ReaderOfAMissingFileFindsNothing) {
  FrameReader reader(path_);
  EXPECT_TRUE(reader.Next()->empty());
}

}  // namespace
}  // namespace ft::records
