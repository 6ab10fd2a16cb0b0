#include "worker/rank/freed_pages.h"

#include <gtest/gtest.h>
#include <jemalloc/jemalloc.h>

#include <cstdint>
#include <cstdlib>

namespace ft::rank {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

size_t Ask(const char* name) {
  size_t value = 0, size = sizeof(value);
  EXPECT_EQ(mallctl(name, &value, &size, nullptr, 0), 0) << name;
  return value;
}

size_t FreeBytes() {
  uint64_t epoch = 1;
  EXPECT_EQ(mallctl("epoch", nullptr, nullptr, &epoch, sizeof(epoch)), 0);
  return Ask("stats.arenas.0.pdirty") * Ask("arenas.page");
}

void TakeAndFree(size_t bytes) {
  auto* memory = static_cast<volatile char*>(std::malloc(bytes));
  for (size_t i = 0; i < bytes; i += 4096) memory[i] = 1;
  std::free(const_cast<char*>(memory));
}

TEST(FreedPagesTest, ExcessIsWhatLaterMomentsDoNotTake) {
  EXPECT_FALSE(IsExcess(0, 0, 100 * kMiB));
  EXPECT_FALSE(IsExcess(100 * kMiB, 100 * kMiB, 64 * kMiB));
  EXPECT_FALSE(IsExcess(102 * kMiB, 100 * kMiB, 64 * kMiB));  // A thirty-second of what is used.
  EXPECT_TRUE(IsExcess(103 * kMiB, 100 * kMiB, 64 * kMiB));
  EXPECT_FALSE(IsExcess(10 * kMiB, 100 * kMiB, 0));
}

TEST(FreedPagesTest, KeepsWhatAStepTakesAgainAndGivesTheRestBack) {
  TakeAndFree(64 * kMiB);  // As loading does.
  FreedPages pages;
  pages.GiveBackExcess();
  EXPECT_LT(FreeBytes(), kMiB);
  // Steps that take 64 MiB above what is in use at their most.
  for (int step = 0; step < 3; ++step) {
    TakeAndFree(64 * kMiB);
    pages.GiveBackExcess();
    EXPECT_GE(FreeBytes(), 64 * kMiB) << step;
  }
  TakeAndFree(8 * kMiB);  // And one that takes less.
  pages.GiveBackExcess();
  EXPECT_LT(FreeBytes(), kMiB);
}

}  // namespace
}  // namespace ft::rank
