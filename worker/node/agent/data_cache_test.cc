#include "worker/node/agent/data_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temp_dir.h"

namespace ft::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::filesystem::file_time_type At(int minutes) {
  return std::filesystem::file_time_type(std::chrono::minutes(minutes));
}

TEST(OrdinaryCache, TheLeastRecentlyUsedGoUntilTheRestFits) {
  const std::vector<CacheEntry> entries = {{"new", 40, At(30)}, {"old", 40, At(10)}, {"older", 40, At(5)}};
  EXPECT_THAT(ToEvict(entries, 120, {}, At(60)), IsEmpty());
  EXPECT_THAT(ToEvict(entries, 100, {}, At(60)), ElementsAre("older"));
  EXPECT_THAT(ToEvict(entries, 50, {}, At(60)), ElementsAre("older", "old"));
}

TEST(OrdinaryCache, WhatALiveJobNamesOrWasJustUsedStays) {
  const std::vector<CacheEntry> entries = {
      {"/c/named", 40, At(1)}, {"/c/old", 40, At(10)}, {"/c/fresh", 40, At(50)}};
  EXPECT_THAT(ToEvict(entries, 0, {"named"}, At(40)), ElementsAre("/c/old"));
}

TEST(OrdinaryCache, UseMovesAFileToTheEndOfTheQueue) {
  const testing::TempDir dir;
  for (const char* name : {"a", "b"}) std::ofstream(dir / name) << "tokens";
  const auto now = std::filesystem::file_time_type::clock::now();
  std::filesystem::last_write_time(dir / "a", now - std::chrono::minutes(2));
  std::filesystem::last_write_time(dir / "b", now - std::chrono::minutes(1));
  TouchCache(dir / "a");
  const auto evicted = ToEvict(ListCache(dir.path()), 6, {}, std::filesystem::file_time_type::max());
  EXPECT_THAT(evicted, ElementsAre(dir / "b"));
}

}  // namespace
}  // namespace ft::agent
