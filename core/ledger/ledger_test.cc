#include "core/ledger/ledger.h"

#include <gtest/gtest.h>

#include "core/records/record_file.h"
#include "tests/support/temp_dir.h"

namespace ft::ledger {
namespace {

namespace fs = std::filesystem;

std::string Whole(char digit) { return std::string(64, digit); }
std::string Short(char digit) { return std::string(16, digit); }

LedgerEntry Entry(int64_t step) {
  return {
      .step = step,
      .samples = Whole('1'),
      .gradient = Whole('2'),
      .weights = Whole('3'),
      .tensors = {{"layers.2.q.a", {Short('4'), Short('5')}}, {"layers.10.q.a", {Short('6'), Short('7')}}}};
}

void Write(const fs::path& file, const std::vector<LedgerEntry>& entries) {
  fs::create_directories(file.parent_path());
  auto writer = records::FrameWriter::Open(file);
  ASSERT_TRUE(writer.ok()) << writer.status();
  for (const LedgerEntry& entry : entries) ASSERT_TRUE(writer->Append(Encode(entry)).ok());
}

TEST(LedgerTest, EntryComesBackAndEqualEntriesGiveEqualBytes) {
  const LedgerEntry entry = Entry(7);
  const auto back = Decode(Encode(entry));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, entry);
  EXPECT_EQ(Encode(*back), Encode(entry));
}

// Entries that older programs wrote have no version, and are written again as they were.
TEST(LedgerTest, DigestsOfDifferentVersionsAreNotCompared) {
  LedgerEntry old = Entry(7), tree = Entry(7);
  EXPECT_EQ(Encode(old).find("version"), std::string::npos);
  EXPECT_EQ(Decode("{\"step\":1}")->version, 1);
  tree.version = kVersion;
  EXPECT_EQ(Decode(Encode(tree))->version, kVersion);
  EXPECT_FALSE(Decode("{\"step\":1,\"version\":3}").ok());
  EXPECT_FALSE(Decode("{\"step\":1,\"version\":\"2\"}").ok());
  EXPECT_EQ(FirstIncomparable({Entry(6), old}, {Entry(6), tree}), 7);
  EXPECT_EQ(FirstIncomparable({Entry(6), old}, {Entry(8)}), 0);
  EXPECT_EQ(FirstIncomparable({tree}, {tree}), 0);
}

TEST(LedgerTest, BadEntriesAreRefusedByKey) {
  const auto message = [](std::string_view json) { return std::string(Message(Decode(json).status())); };
  EXPECT_NE(message("[1]").find("JSON object"), std::string::npos);
  EXPECT_NE(message("{\"step\":1").find("JSON object"), std::string::npos);
  EXPECT_NE(message("{}").find("`step`"), std::string::npos);
  EXPECT_NE(message("{\"step\":0}").find("`step`"), std::string::npos);
  EXPECT_NE(message("{\"step\":1.5}").find("`step`"), std::string::npos);
  EXPECT_NE(message("{\"step\":1,\"weights\":\"xyz\"}").find("`weights`"), std::string::npos);
  EXPECT_NE(message("{\"step\":1,\"samples\":4}").find("`samples`"), std::string::npos);
  EXPECT_NE(message("{\"step\":1,\"tensors\":[]}").find("`tensors`"), std::string::npos);
  EXPECT_NE(message("{\"step\":1,\"tensors\":{\"a\":[\"00\"]}}").find("`tensors.a`"), std::string::npos);
}

TEST(LedgerTest, EqualLedgersHaveNoDifference) {
  EXPECT_FALSE(FirstDifference({Entry(1), Entry(2)}, {Entry(1), Entry(2)}).has_value());
  EXPECT_FALSE(FirstDifference({}, {}).has_value());
}

TEST(LedgerTest, SamplesComeBeforeGradientsBeforeWeights) {
  LedgerEntry other = Entry(2);
  other.weights = Whole('9');
  other.tensors["layers.2.q.a"].weights = Short('9');
  auto difference = FirstDifference({Entry(1), Entry(2)}, {Entry(1), other});
  ASSERT_TRUE(difference.has_value());
  EXPECT_EQ(difference->step, 2);
  EXPECT_EQ(difference->kind, DifferenceKind::kWeights);
  EXPECT_EQ(difference->tensor, "layers.2.q.a");
  EXPECT_EQ(difference->first, Short('5'));
  EXPECT_EQ(difference->second, Short('9'));

  other.tensors["layers.10.q.a"].gradient = Short('8');
  difference = FirstDifference({Entry(1), Entry(2)}, {Entry(1), other});
  EXPECT_EQ(difference->kind, DifferenceKind::kGradient);
  EXPECT_EQ(difference->tensor, "layers.10.q.a");

  other.samples = Whole('a');
  difference = FirstDifference({Entry(1), Entry(2)}, {Entry(1), other});
  EXPECT_EQ(difference->kind, DifferenceKind::kSamples);
  EXPECT_EQ(difference->second, Whole('a'));
}

TEST(LedgerTest, LayerTwoIsNamedBeforeLayerTen) {
  LedgerEntry other = Entry(1);
  for (auto& [name, digests] : other.tensors) digests.gradient = Short('f');
  EXPECT_EQ(FirstDifference({Entry(1)}, {other})->tensor, "layers.2.q.a");
  EXPECT_TRUE(NaturalLess("a2", "a10"));
  EXPECT_FALSE(NaturalLess("a10", "a2"));
  EXPECT_TRUE(NaturalLess("a", "a1"));
  EXPECT_FALSE(NaturalLess("a1", "a1"));
  EXPECT_TRUE(NaturalLess("a01", "a1") != NaturalLess("a1", "a01"));
}

TEST(LedgerTest, WholeDigestIsNamedWithoutATensorWhenThereIsNoDetail) {
  LedgerEntry plain = Entry(1);
  plain.tensors.clear();
  LedgerEntry other = plain;
  other.gradient = Whole('c');
  const auto difference = FirstDifference({plain}, {other});
  ASSERT_TRUE(difference.has_value());
  EXPECT_EQ(difference->kind, DifferenceKind::kGradient);
  EXPECT_TRUE(difference->tensor.empty());
}

TEST(LedgerTest, MissingStepsAndTensorsAreDifferences) {
  EXPECT_EQ(FirstDifference({Entry(1), Entry(2)}, {Entry(1)})->kind, DifferenceKind::kMissingInSecond);
  EXPECT_EQ(FirstDifference({Entry(2)}, {Entry(1), Entry(2)})->kind, DifferenceKind::kMissingInFirst);
  LedgerEntry other = Entry(1);
  other.tensors.erase("layers.2.q.a");
  EXPECT_EQ(FirstDifference({Entry(1)}, {other})->tensor, "layers.2.q.a");
}

TEST(LedgerTest, NewestAttemptsRecordOfEachStepCounts) {
  const ft::testing::TempDir dir;
  LedgerEntry newer = Entry(2);
  newer.weights = Whole('b');
  Write(dir / "attempts/2/ledger.ftr", {Entry(1), Entry(2), Entry(3)});
  Write(dir / "attempts/10/ledger.ftr", {newer});
  fs::create_directories(dir / "attempts/3");
  fs::create_directories(dir / "attempts/notes");
  const auto ledger = ReadJobLedger(dir.path());
  ASSERT_TRUE(ledger.ok()) << ledger.status();
  ASSERT_EQ(ledger->size(), 3u);
  EXPECT_EQ((*ledger)[0], Entry(1));
  EXPECT_EQ((*ledger)[1], newer);
  EXPECT_EQ((*ledger)[2], Entry(3));
}

TEST(LedgerTest, FolderWithoutAttemptsIsNotFound) {
  const ft::testing::TempDir dir;
  EXPECT_TRUE(absl::IsNotFound(ReadJobLedger(dir.path()).status()));
}

TEST(LedgerTest, ZerosThatALossOfPowerLeftAtTheEndAreNoEntries) {
  const ft::testing::TempDir dir;
  const fs::path file = dir / "ledger.ftr";
  Write(file, {Entry(1), Entry(2)});
  fs::resize_file(file, fs::file_size(file) + 4096);
  const auto entries = ReadLedgerFile(file);
  ASSERT_TRUE(entries.ok()) << entries.status();
  EXPECT_EQ(entries->size(), 2u);
}

TEST(LedgerTest, FrameThatIsNoEntryNamesTheFile) {
  const ft::testing::TempDir dir;
  const fs::path file = dir / "ledger.ftr";
  {
    auto writer = records::FrameWriter::Open(file);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->Append("{}").ok());
  }
  EXPECT_NE(Message(ReadLedgerFile(file).status()).find("ledger.ftr"), std::string_view::npos);
}

}  // namespace
}  // namespace ft::ledger
