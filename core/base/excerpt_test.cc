#include "core/base/excerpt.h"

#include <gtest/gtest.h>

namespace ft {
namespace {

TEST(ExcerptTest, CutsBetweenCharactersOnly) {
  EXPECT_EQ(Excerpt("图书馆几点开门", 3), "图书馆...");
  EXPECT_EQ(Excerpt("图书馆", 3), "图书馆");
  EXPECT_EQ(Excerpt("a\nb", 3), "a b");
}

}  // namespace
}  // namespace ft
