#include "client/job/arxiv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "nlohmann/json.hpp"
#include "tests/support/temp_dir.h"

namespace ft::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Paper(const std::string& title, const std::string& categories, const std::string& date) {
  return nlohmann::ordered_json{
      {"title", title}, {"categories", categories}, {"update_date", date}, {"abstract", "…"}}
      .dump();
}

class ArxivTest : public ::testing::Test {
 protected:
  void Write(const std::string& content) { ASSERT_TRUE(WriteFileDurably(dir_ / "all.json", content).ok()); }
  std::string ErrorOf(const ArxivChoice& choice) {
    const auto counts = PreprocessArxiv(dir_ / "all.json", dir_ / "chosen.json", choice);
    EXPECT_FALSE(std::filesystem::exists(dir_ / "chosen.json.part"));
    return std::string(Message(counts.status()));
  }
  std::vector<std::string> Titles() {
    std::vector<std::string> titles;
    const auto records = nlohmann::json::parse(ReadFile(dir_ / "chosen.json").value_or(""), nullptr, false);
    EXPECT_TRUE(records.is_array());
    for (const auto& record : records) titles.push_back(record.value("title", ""));
    return titles;
  }
  ft::testing::TempDir dir_;
};

TEST_F(ArxivTest, PapersOfOneOfTheCategoriesSinceTheDateAreKeptAsTheyStand) {
  const std::string first = Paper("first", "math.CO cs.CL", "2020-01-01");
  Write(first + "\n" + Paper("too old", "cs.CL", "2019-12-31") + "\r\n\n" +
        Paper("elsewhere", "cs.CLX math.CO", "2023-05-01") + "\n{\"title\": \"cut o\n" +
        Paper("last", "cs.CV", "2024-02-29"));
  const auto counts = PreprocessArxiv(dir_ / "all.json", dir_ / "chosen.json", {});
  ASSERT_TRUE(counts.ok()) << counts.status();
  EXPECT_THAT(Titles(), ElementsAre("first", "last"));
  EXPECT_EQ(counts->records, 4);
  EXPECT_EQ(counts->kept, 2);
  EXPECT_THAT(counts->broken, ElementsAre(5));
  EXPECT_THAT(*ReadFile(dir_ / "chosen.json"), HasSubstr(first));
}

TEST_F(ArxivTest, OtherCategoriesAndDates) {
  Write(Paper("a", "math.CO", "2001-01-01") + "\n" + Paper("b", "cs.CL", "2021-01-01") + "\n");
  ASSERT_TRUE(PreprocessArxiv(dir_ / "all.json", dir_ / "chosen.json", {{"math.CO"}, "2000-12-31"}).ok());
  EXPECT_THAT(Titles(), ElementsAre("a"));
}

TEST_F(ArxivTest, WhatIsWrongIsSaidAndLeavesNothing) {
  Write(Paper("a", "math.CO", "2001-01-01") + "\n");
  EXPECT_THAT(ErrorOf({}), HasSubstr("all.json holds no record of these categories since 2020-01-01"));
  EXPECT_THAT(ErrorOf({{"cs.AI"}, "2020-02-30"}),
              HasSubstr("'2020-02-30' is no date: write it as 2020-01-31"));
  EXPECT_THAT(ErrorOf({{"cs.AI"}, "yesterday"}), HasSubstr("is no date"));
  EXPECT_THAT(ErrorOf({{}, "2020-01-01"}), HasSubstr("no category is named"));
  Write(std::string((size_t{17} << 20), 'x'));
  EXPECT_THAT(ErrorOf({}), HasSubstr("all.json line 1: is longer than 16 MiB"));
  ASSERT_TRUE(WriteFileDurably(dir_ / "chosen.json", "mine").ok());
  EXPECT_THAT(ErrorOf({}), HasSubstr("chosen.json is there already: remove it, or name another file"));
  EXPECT_EQ(*ReadFile(dir_ / "chosen.json"), "mine");
}

}  // namespace
}  // namespace ft::client
