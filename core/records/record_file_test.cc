#include "core/records/record_file.h"

#include <gtest/gtest.h>

#include <fstream>

namespace ft::records {
namespace {

namespace fs = std::filesystem;

class RecordFileTest : public testing::Test {
 protected:
  RecordFileTest()
      : path_(fs::path(testing::TempDir()) /
              (std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + ".ftr")) {
    fs::remove(path_);
  }
  ~RecordFileTest() override { fs::remove(path_); }
  void Put(std::string_view content) { std::ofstream(path_, std::ios::binary | std::ios::trunc) << content; }
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
  ASSERT_TRUE(writer
                  ->Write(Score{.step = 1,
                                .name = "q",
                                .questions = 3,
                                .average = 25,
                                .categories = {{"STEM", 50}},
                                .subcategories = {{"math", 75}},
                                .subjects = {{"anatomy", 100}}})
                  .ok());
  auto records = ReadRecords(path_);
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->size(), 11u);
  for (size_t i = 0; i < records->size(); ++i) EXPECT_EQ((*records)[i].sequence, i + 1);
  EXPECT_EQ(std::get<Step>((*records)[1].body).phase_seconds.at("forward"), 0.25);
  EXPECT_EQ(std::get<Sample>((*records)[5].body).text, "好");
  EXPECT_EQ(std::get<Prepared>((*records)[7].body).report.size(), 2u);
  EXPECT_EQ(std::get<Result>((*records)[8].body).state, ResultState::kSucceeded);
  EXPECT_EQ(std::get<Rendezvous>((*records)[9].body).address, "127.0.0.1:4000");
  const Score& score = std::get<Score>((*records)[10].body);
  EXPECT_EQ(score.questions, 3);
  EXPECT_EQ(score.average, 25);
  EXPECT_EQ(score.categories.at("STEM"), 50);
  EXPECT_EQ(score.subcategories.at("math"), 75);
  EXPECT_EQ(score.subjects.at("anatomy"), 100);
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

// What a loss of power leaves where the file's length was stored and the blocks at its end were not.
TEST_F(RecordFileTest, ZerosAtTheEndAreATornTailFromAnyByteOn) {
  { ASSERT_TRUE(RecordWriter::Open(path_)->Write(Beat{.count = 1, .phase = "load"}).ok()); }
  const std::string one = *ReadFile(path_);
  { ASSERT_TRUE(RecordWriter::Open(path_)->Write(Beat{.count = 2, .phase = "load"}).ok()); }
  const std::string both = *ReadFile(path_);
  for (size_t written = one.size(); written <= both.size(); ++written) {
    for (const size_t zeros : {1u, 7u, 8u, 9u, 4096u}) {
      Put(both.substr(0, written) + std::string(zeros, '\0'));
      const auto records = ReadRecords(path_);
      ASSERT_TRUE(records.ok()) << written << ": " << records.status();
      EXPECT_EQ(records->size(), written == both.size() ? 2u : 1u) << written;
    }
  }
  // More than a reader takes at once, behind a whole frame and behind a part of one.
  for (const size_t written : {one.size(), one.size() + 12}) {
    Put(both.substr(0, written) + std::string(5 << 20, '\0'));
    FrameReader reader(path_);
    EXPECT_EQ(reader.Next()->size(), 1u);
    const auto rest = reader.Next();
    ASSERT_TRUE(rest.ok()) << rest.status();
    EXPECT_TRUE(rest->empty());
    EXPECT_EQ(reader.offset(), one.size());
    auto writer = RecordWriter::Open(path_);
    ASSERT_TRUE(writer.ok()) << writer.status();
    EXPECT_EQ(fs::file_size(path_), one.size());
    ASSERT_TRUE(writer->Write(Beat{.count = 3, .phase = "train"}).ok());
    EXPECT_EQ(reader.Next()->size(), 1u);
    EXPECT_EQ(ReadRecords(path_)->back().sequence, 2u);
  }
}

TEST_F(RecordFileTest, ZerosInTheMiddleAreDataLoss) {
  { ASSERT_TRUE(RecordWriter::Open(path_)->Write(Beat{.count = 1, .phase = "load"}).ok()); }
  const std::string one = *ReadFile(path_);
  for (const size_t zeros : {8u, 16u, 4096u, 5u << 20}) {
    Put(one + std::string(zeros, '\0') + one);
    const Status read = ReadRecords(path_).status();
    EXPECT_TRUE(absl::IsDataLoss(read)) << zeros;
    EXPECT_NE(Message(read).find(path_.string() + ": zeros where a frame is expected"),
              std::string_view::npos)
        << read;
    EXPECT_TRUE(absl::IsDataLoss(FrameWriter::Open(path_).status())) << zeros;
    EXPECT_EQ(fs::file_size(path_), 2 * one.size() + zeros);
  }
}

TEST_F(RecordFileTest, EmptyRecordsAreNotWritten) {
  auto writer = FrameWriter::Open(path_);
  ASSERT_TRUE(writer.ok());
  EXPECT_TRUE(absl::IsInvalidArgument(writer->Append("")));
  EXPECT_EQ(fs::file_size(path_), 0u);
}

TEST_F(RecordFileTest, FlippedBitIsDataLoss) {
  { ASSERT_TRUE(RecordWriter::Open(path_)->Write(Note{.message = "hello"}).ok()); }
  const std::string whole = *ReadFile(path_, 1 << 20);
  // Behind the length, which may as well be that of a frame still being written.
  for (size_t at = sizeof(uint32_t); at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    Put(damaged);
    EXPECT_TRUE(absl::IsDataLoss(ReadRecords(path_).status())) << at;
  }
}

TEST_F(RecordFileTest, ReaderOfAMissingFileFindsNothing) {
  FrameReader reader(path_);
  EXPECT_TRUE(reader.Next()->empty());
}

}  // namespace
}  // namespace ft::records
