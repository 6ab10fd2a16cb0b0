#include "server/api/tokens.h"

#include <gtest/gtest.h>

#include "core/rpc/errors.h"

namespace ft::api {
namespace {

TEST(Tokens, RoundTrip) {
  const auto position = ReadResumeToken(WriteToken({"store", "filter", 42}), "store", "filter");
  ASSERT_TRUE(position.ok());
  EXPECT_EQ(*position, 42);
}

TEST(Tokens, AnotherStoreIsToldApartFromDamage) {
  const std::string token = WriteToken({"store", "filter", 42});
  EXPECT_EQ(rpc::ReasonOf(ReadResumeToken(token, "other", "filter").status()),
            finetune::v1::RESUME_TOKEN_FOREIGN);
  EXPECT_EQ(rpc::ReasonOf(ReadResumeToken(token, "store", "other").status()),
            finetune::v1::RESUME_TOKEN_INVALID);
  std::string changed = token;
  changed[changed.find(".42.") + 1] = '5';
  EXPECT_EQ(rpc::ReasonOf(ReadResumeToken(changed, "store", "filter").status()),
            finetune::v1::RESUME_TOKEN_INVALID);
  for (size_t cut = 0; cut < token.size(); ++cut) {
    EXPECT_FALSE(ReadPageToken(token.substr(0, cut), "store", "filter").ok());
  }
}

}  // namespace
}  // namespace ft::api
