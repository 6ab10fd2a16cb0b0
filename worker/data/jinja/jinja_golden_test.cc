// The chat templates of real models beside what Jinja2 as transformers sets it up makes of them.
#include <gtest/gtest.h>

#include "tests/support/chat_template_reference.h"
#include "tests/support/shared_dir.h"

namespace ft::data {
namespace {

using ft::testing::Comparison;

std::string Equal(const Comparison& comparison) {
  return StrCat(comparison.all - comparison.other, " of ", comparison.all);
}

TEST(JinjaGoldenTest, RealTemplatesEqualTransformers) {
  const auto shared = ft::testing::SharedDir();
  if (!shared) GTEST_SKIP() << "the folder shared with golden/chat_templates is not beside this checkout";
  const std::filesystem::path folder = *shared / "golden" / "chat_templates";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "there is no golden/chat_templates beside this checkout";
  const auto found = ft::testing::CompareChatTemplates(folder);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_GT(found->texts.all, 0u);
  EXPECT_GT(found->marks.all, 0u);
  EXPECT_GT(found->refusals.all, 0u);
  EXPECT_EQ(found->first, "");
  std::cout << Equal(found->texts) << " texts, " << Equal(found->marks) << " marks equal; "
            << Equal(found->refusals) << " refused\n";
}

}  // namespace
}  // namespace ft::data
