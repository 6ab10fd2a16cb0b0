#include "core/process/rank_process.h"

#include <gtest/gtest.h>

namespace ft::process {
namespace {

const nlohmann::json& Whole() {
  static const nlohmann::json json = {{"job_id", "j-1"}, {"epoch", 3},       {"rank", 1},
                                      {"kind", "TRAIN"}, {"pid", 42},        {"boot_id", "b"},
                                      {"strict", true},  {"start_ticks", 7}, {"wait_status", 9}};
  return json;
}

TEST(RankFromJson, GivesBackWhatWasWritten) {
  const auto rank = RankFromJson(Whole());
  ASSERT_TRUE(rank.ok()) << rank.status();
  EXPECT_EQ(ToJson(*rank), Whole());
}

TEST(RankFromJson, EveryFieldOfAnotherTypeOrRangeIsRefusedByName) {
  const std::pair<const char*, nlohmann::json> wrong[] = {{"job_id", 7},
                                                          {"job_id", "../j"},
                                                          {"job_id", ""},
                                                          {"epoch", -1},
                                                          {"epoch", uint64_t{1} << 63},
                                                          {"rank", "1"},
                                                          {"rank", 1 << 30},
                                                          {"kind", nullptr},
                                                          {"pid", 1},
                                                          {"pid", int64_t{1} << 32},
                                                          {"boot_id", 7},
                                                          {"strict", 1},
                                                          {"start_ticks", 0.5},
                                                          {"end_reason", {}},
                                                          {"wait_status", 1 << 20},
                                                          {"wait_status", ""}};
  for (const auto& [key, value] : wrong) {
    nlohmann::json json = Whole();
    json[key] = value;
    const Status status = RankFromJson(json).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << json;
    EXPECT_NE(Message(status).find(key), std::string_view::npos) << status;
  }
  EXPECT_FALSE(RankFromJson(nlohmann::json::array()).ok());
}

}  // namespace
}  // namespace ft::process
