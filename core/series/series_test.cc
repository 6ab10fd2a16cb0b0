#include "core/series/series.h"

#include <gtest/gtest.h>

#include <fstream>

#include "core/records/record_file.h"
#include "tests/support/temp_dir.h"

namespace ft::series {
namespace {

std::vector<finetune::v1::MetricPoint> PointsOf(const std::filesystem::path& path, int64_t epoch) {
  uint64_t offset = 0;
  auto points = NextPoints(path, epoch, &offset);
  EXPECT_TRUE(points.ok()) << points.status();
  return points.ok() ? *std::move(points) : std::vector<finetune::v1::MetricPoint>();
}

TEST(SeriesTest, AStepThatRanTwiceIsTheNewerAttempts) {
  const ft::testing::TempDir dir;
  auto first = records::RecordWriter::Open(dir / "1");
  ASSERT_TRUE(first->Write(records::Step{.step = 1, .loss = 3}).ok());
  ASSERT_TRUE(first->Write(records::Beat{.count = 1, .phase = "train"}).ok());
  ASSERT_TRUE(first->Write(records::Step{.step = 2, .loss = 2}).ok());
  auto second = records::RecordWriter::Open(dir / "2");
  ASSERT_TRUE(second->Write(records::Step{.step = 2, .loss = 1.5}).ok());
  ASSERT_TRUE(second->Write(records::Eval{.step = 2, .name = "holdout", .loss = 4}).ok());
  Series series;
  for (int64_t epoch : {1, 2}) {
    for (auto& point : PointsOf(dir / StrCat(epoch), epoch)) series.Add(std::move(point));
  }
  ASSERT_EQ(series.points().size(), 3u);
  EXPECT_EQ(series.points()[0].record().step().loss(), 3);
  EXPECT_EQ(series.points()[1].record().step().loss(), 1.5);
  EXPECT_EQ(series.points()[1].epoch(), 2);
  EXPECT_EQ(StepOf(series.points()[2].record()), 2);
}

TEST(SeriesTest, ABenchmarkThatWasAnsweredTwiceIsTheNewerAttempts) {
  const ft::testing::TempDir dir;
  auto first = records::RecordWriter::Open(dir / "1");
  ASSERT_TRUE(first->Write(records::Score{.step = 4, .name = "a", .average = 25}).ok());
  ASSERT_TRUE(first->Write(records::Score{.step = 4, .name = "b", .average = 30}).ok());
  auto second = records::RecordWriter::Open(dir / "2");
  ASSERT_TRUE(second->Write(records::Score{.step = 4, .name = "a", .average = 50}).ok());
  Series series;
  for (int64_t epoch : {1, 2}) {
    for (auto& point : PointsOf(dir / StrCat(epoch), epoch)) series.Add(std::move(point));
  }
  ASSERT_EQ(series.points().size(), 2u);
  EXPECT_EQ(series.points()[0].record().score().average(), 50);
  EXPECT_EQ(series.points()[1].record().score().name(), "b");
  EXPECT_EQ(StepOf(series.points()[1].record()), 4);
}

TEST(SeriesTest, ADamagedFileIsNamedAndAMissingOneIsEmpty) {
  const ft::testing::TempDir dir;
  uint64_t offset = 0;
  EXPECT_TRUE(NextPoints(dir / "none", 1, &offset)->empty());
  std::ofstream(dir / "bad") << std::string(40, '\x01');
  const auto bad = NextPoints(dir / "bad", 1, &offset);
  EXPECT_TRUE(absl::IsDataLoss(bad.status()));
  EXPECT_NE(bad.status().message().find("bad"), absl::string_view::npos);
}

}  // namespace
}  // namespace ft::series
