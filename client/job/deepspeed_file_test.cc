#include "client/job/deepspeed_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/recipe/parse.h"
#include "tests/support/temp_dir.h"

namespace ft::client {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class DeepspeedFileOfJobTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, std::string_view text) {
    fs::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name) << text;
  }
  // What the command line with `--deepspeed name`, where it is not empty, makes of a job file.
  StatusOr<recipe::JobSpec> Check(const std::string& file, const std::string& deepspeed = "") {
    ASSIGN_OR_RETURN(text_, ReadJobText((dir_ / file).string()));
    std::vector<std::string> sets;
    if (!deepspeed.empty()) {
      ASSIGN_OR_RETURN(sets, DeepspeedAssignments(deepspeed));
    }
    return CheckJob(text_, sets);
  }
  std::string Refused(const std::string& file, const std::string& deepspeed = "") {
    return std::string(Message(Check(file, deepspeed).status()));
  }
  std::string In(const std::string& name) const { return (dir_ / name).string(); }

  ft::testing::TempDir dir_;
  JobText text_;
};

TEST_F(DeepspeedFileOfJobTest, IsReadWhereItLies) {
  Write("jobs/ds.json",
        R"({"zero_optimization": {"stage": 2, "overlap_comm": true}, "gradient_clipping": 0.5})");
  Write("jobs/base.yaml", "model: m\ndata: d\nparallel: {ranks: 2, deepspeed: ds.json}\n");
  Write("job.yaml", "recipe: jobs/base.yaml\n");
  Write("plain.yaml", "model: m\ndata: d\nparallel: {ranks: 2}\n");
  const std::pair<std::string, std::string> jobs[] = {
      {"jobs/base.yaml", ""}, {"job.yaml", ""}, {"plain.yaml", In("jobs/ds.json")}};
  for (const auto& [file, deepspeed] : jobs) {
    const auto spec = Check(file, deepspeed);
    ASSERT_TRUE(spec.ok()) << file << ": " << spec.status();
    EXPECT_EQ(spec->parallel.zero, 2) << file;
    EXPECT_EQ(spec->train.max_grad_norm, 0.5) << file;
    EXPECT_THAT(text_.deepspeed, SizeIs(3)) << file;
    EXPECT_THAT(text_.remarks,
                ElementsAre(HasSubstr("without meaning here: zero_optimization.overlap_comm")));
    // What is sent is the settings.
    EXPECT_THAT(text_.yaml, Not(HasSubstr("ds.json")));
    EXPECT_TRUE(recipe::ParseJob(text_.yaml, "sent").ok());
  }
}

// --deepspeed takes the place of the job's own, and of what followed from it.
TEST_F(DeepspeedFileOfJobTest, TheCommandLinesTakesThePlaceOfTheJobs) {
  Write("ds.json", R"({"zero_optimization": {"stage": 2}})");
  Write("three.json", R"({"zero_optimization": {"stage": 3, "offload_param": {"device": "cpu"}}})");
  Write("by_name.yaml", "model: m\ndata: d\nparallel: {ranks: 2, deepspeed: deepspeed_zero3_offload}\n");
  Write("by_file.yaml", "model: m\ndata: d\nparallel: {ranks: 2, deepspeed: three.json}\n");
  Write("by_recipe.yaml", "recipe: by_name.yaml\n");
  for (const char* file : {"by_name.yaml", "by_file.yaml", "by_recipe.yaml"}) {
    for (const std::string& instead : {std::string("deepspeed_zero2"), In("ds.json")}) {
      const auto spec = Check(file, instead);
      ASSERT_TRUE(spec.ok()) << file << ", " << instead << ": " << spec.status();
      EXPECT_EQ(spec->parallel.zero, 2);
      EXPECT_EQ(spec->parallel.offload.optimizer, "none");
      EXPECT_EQ(spec->parallel.offload.parameters, "none");
    }
  }
}

TEST_F(DeepspeedFileOfJobTest, ZeroAndOffloadThatTheJobWritesContradictIt) {
  Write("ds.json", R"({"zero_optimization": {"stage": 2}})");
  Write("zero.yaml", "model: m\ndata: d\nparallel: {ranks: 2, zero: 1}\n");
  Write("offload.yaml", "model: m\ndata: d\nparallel: {ranks: 2, offload: {optimizer: cpu}}\n");
  for (const char* file : {"zero.yaml", "offload.yaml"}) {
    EXPECT_THAT(Refused(file, "deepspeed_zero2"),
                HasSubstr("parallel.deepspeed: stands beside zero or offload: give one of the two"));
    EXPECT_THAT(Refused(file, "deepspeed_zero2"), Not(HasSubstr("\n")));
  }
  EXPECT_THAT(Refused("zero.yaml", In("ds.json")),
              HasSubstr("ds.json: zero_optimization.stage: 2 contradicts the job's parallel.zero: 1; "));
  // Every job that `ftctl recipe show` printed says this.
  Write("shown.yaml",
        "model: m\ndata: d\nparallel: {ranks: 2, zero: 0, offload: {optimizer: none, parameters: none}}\n");
  for (const std::string& instead : {std::string("deepspeed_zero2"), In("ds.json")}) {
    const auto spec = Check("shown.yaml", instead);
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(spec->parallel.zero, 2);
  }
}

TEST_F(DeepspeedFileOfJobTest, RefusalsNameTheJobFilesLineAndThePathInTheFile) {
  Write("five.json", R"({"zero_optimization": {"stage": 5}, "qqqqqq": 1})");
  Write("five.yaml", "model: m\ndata: d\nparallel:\n  ranks: 2\n  deepspeed: five.json\n");
  const std::string place = StrCat(In("five.yaml"), ":5: parallel.deepspeed: five.json: ");
  EXPECT_EQ(Refused("five.yaml"), StrCat(place, "zero_optimization.stage: '5' is none of: 0, 1, 2, 3\n",
                                         place, "qqqqqq: unknown key"));
  Write("cut.json", "{");
  Write("cut.yaml", "model: m\ndata: d\nparallel: {deepspeed: cut.json}\n");
  EXPECT_THAT(Refused("cut.yaml"), HasSubstr("cut.yaml:3: parallel.deepspeed: cut.json: ends before"));
  Write("none.yaml", "model: m\ndata: d\nparallel: {deepspeed: there/is/none.json}\n");
  EXPECT_THAT(Refused("none.yaml"), HasSubstr(StrCat("none.yaml:3: parallel.deepspeed: there is no file ",
                                                     In("there/is/none.json"), ": correct the path")));
  EXPECT_THAT(Refused("five.yaml", In("cut.json")),
              HasSubstr(StrCat("parallel.deepspeed: ", In("cut.json"), ": ends before its JSON does")));
}

// What else is wrong with such a job keeps its line.
TEST_F(DeepspeedFileOfJobTest, TheJobsOwnLinesStay) {
  Write("ds.json", R"({"zero_optimization": {"stage": 2}})");
  Write("job.yaml", "model: m\ndata: d\ntrain:\n  lrx: 1\nparallel: {deepspeed: ds.json}\n");
  EXPECT_THAT(Refused("job.yaml"), HasSubstr("job.yaml:4: train.lrx: unknown key"));
}

TEST_F(DeepspeedFileOfJobTest, ANameThatThereIsNotIsToldAll) {
  EXPECT_THAT(std::string(Message(DeepspeedAssignments("zero2").status())),
              HasSubstr("--deepspeed zero2: is none of deepspeed_zero1, deepspeed_zero2, "));
  EXPECT_FALSE(DeepspeedAssignments("internlm_7b_qlora_oasst1_e3").ok());
  EXPECT_THAT(*DeepspeedAssignments("deepspeed_zero1"),
              ElementsAre("parallel.deepspeed=\"deepspeed_zero1\""));
}

}  // namespace
}  // namespace ft::client
