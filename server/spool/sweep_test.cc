#include "server/spool/sweep.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temp_dir.h"

namespace ft::spool {
namespace {

namespace fs = std::filesystem;

class OrdinarySweep : public ::testing::Test {
 protected:
  void Put(const std::string& name, std::chrono::hours age) {
    const fs::path path = dir_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << "bytes";
    fs::last_write_time(path, now_ - age);
    fs::last_write_time(path.parent_path(), now_ - age);
  }
  bool Has(const std::string& name) { return fs::exists(dir_ / name); }

  testing::TempDir dir_;
  const fs::file_time_type now_ = fs::file_time_type::clock::now();
};

TEST_F(OrdinarySweep, UploadsGoWhenNoUnfinishedJobNamesThem) {
  using std::chrono::hours;
  Put("u/old/data.jsonl", hours(200));
  Put("u/named/data.jsonl", hours(200));
  Put("u/fresh/data.jsonl", hours(100));
  Put("u/given-up/data.jsonl.part", hours(30));
  Put("u/coming/data.jsonl.part", hours(1));
  SweepUploads(dir_ / "u", {"named"}, {}, now_);
  EXPECT_FALSE(Has("u/old"));
  EXPECT_TRUE(Has("u/named/data.jsonl"));
  EXPECT_TRUE(Has("u/fresh/data.jsonl"));
  EXPECT_FALSE(Has("u/given-up"));
  EXPECT_TRUE(Has("u/coming/data.jsonl.part"));
}

TEST_F(OrdinarySweep, PiecesOfResultsGoAfterADay) {
  using std::chrono::hours;
  Put("jobs/j1/e2/adapter/model.safetensors.part", hours(30));
  Put("jobs/j1/e2/adapter/model.safetensors.part.state", hours(30));
  Put("jobs/j1/e3/adapter/model.safetensors.part", hours(2));
  Put("jobs/j1/e3/adapter/adapter_config.json", hours(300));
  SweepParts(dir_ / "jobs", {}, now_);
  EXPECT_FALSE(Has("jobs/j1/e2/adapter/model.safetensors.part"));
  EXPECT_FALSE(Has("jobs/j1/e2/adapter/model.safetensors.part.state"));
  EXPECT_TRUE(Has("jobs/j1/e3/adapter/model.safetensors.part"));
  EXPECT_TRUE(Has("jobs/j1/e3/adapter/adapter_config.json"));
}

TEST_F(OrdinarySweep, AConfigurationNamesItsUploads) {
  const std::string one(64, 'a'), two(64, 'b');
  EXPECT_EQ(UploadsNamed("{\"a\": \"/up/" + one + "/f\", \"b\": \"/up/" + two + "/g\", \"c\": \"/up/short\"}",
                         "/up"),
            (std::set<std::string>{one, two}));
}

}  // namespace
}  // namespace ft::spool
