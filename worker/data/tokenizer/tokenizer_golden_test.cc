// Every string of the reference data, compared with what the original libraries made of it.
#include <gtest/gtest.h>

#include "tests/support/shared_dir.h"
#include "tests/support/tokenizer_reference.h"

namespace ft::tokenizer {
namespace {

using ft::testing::TokenizerReference;

class TokenizerGoldenTest : public ::testing::TestWithParam<TokenizerReference> {};

TEST_P(TokenizerGoldenTest, IdsAndTextEqualTheOriginals) {
  const auto shared = ft::testing::SharedDir();
  if (!shared) GTEST_SKIP() << "the folder shared with golden/tokenizer is not beside this checkout";
  const std::filesystem::path golden = *shared / "golden" / "tokenizer";
  if (!std::filesystem::exists(golden / GetParam().folder / GetParam().vocabulary))
    GTEST_SKIP() << golden / GetParam().folder << " holds no " << GetParam().vocabulary;
  const auto differences = ft::testing::CompareTokenizer(golden, GetParam());
  ASSERT_TRUE(differences.ok()) << differences.status();
  EXPECT_EQ(differences->strings, 300u);
  EXPECT_EQ(differences->count, 0u) << differences->first;
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerGoldenTest, ::testing::ValuesIn(ft::testing::kTokenizerReferences),
                         [](const ::testing::TestParamInfo<TokenizerReference>& info) {
                           return std::string(info.param.folder);
                         });

}  // namespace
}  // namespace ft::tokenizer
