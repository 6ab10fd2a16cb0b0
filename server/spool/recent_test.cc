#include "server/spool/recent.h"

#include <gtest/gtest.h>

#include <memory>

namespace ft::spool {
namespace {

TEST(Recent, KeepsWhatWasUsedLast) {
  Recent<int> recent(2);
  recent.Put("a", 1);
  recent.Put("b", 2);
  EXPECT_EQ(*recent.Find("a"), 1);
  recent.Put("c", 3);
  EXPECT_EQ(recent.Find("b"), nullptr);
  EXPECT_EQ(*recent.Find("a"), 1);
  EXPECT_EQ(recent.Put("a", 4), 4);
  EXPECT_EQ(recent.size(), 2u);
}

TEST(Recent, ErasesByKeyAndByPrefix) {
  Recent<std::unique_ptr<int>> recent(8);
  for (const char* key : {"j1/a", "j1/b", "j10/a", "j2/a"}) recent.Put(key, std::make_unique<int>(1));
  recent.ErasePrefix("j1/");
  EXPECT_EQ(recent.Find("j1/a"), nullptr);
  EXPECT_EQ(recent.Find("j1/b"), nullptr);
  EXPECT_NE(recent.Find("j10/a"), nullptr);
  recent.Erase("j2/a");
  recent.Erase("j2/a");
  EXPECT_EQ(recent.size(), 1u);
}

}  // namespace
}  // namespace ft::spool
