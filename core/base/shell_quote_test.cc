#include "core/base/shell_quote.h"

#include <gtest/gtest.h>

namespace ft {
namespace {

TEST(CasesQuote, WordsSurviveAShell) {
  EXPECT_EQ(ShellQuoted("qa"), "qa");
  EXPECT_EQ(ShellQuoted("医疗问答"), "医疗问答");
  EXPECT_EQ(ShellQuoted("my data"), "'my data'");
  EXPECT_EQ(ShellQuoted("it's $HOME"), "'it'\\''s $HOME'");
  EXPECT_EQ(ShellQuoted("~"), "'~'");
  EXPECT_EQ(ShellQuoted(""), "''");
}

}  // namespace
}  // namespace ft
