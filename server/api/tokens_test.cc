#include "server/api/tokens.h"

#include <gtest/gtest.h>

#include "core/rpc/errors.h"

namespace ft::api {
namespace {

const std::string kSecret = "secret";

TEST(Tokens, RoundTrip) {
  const auto position =
      ReadResumeToken(kSecret, WriteToken(kSecret, {"store", "filter", 42}), {"store", "filter", 42});
  ASSERT_TRUE(position.ok());
  EXPECT_EQ(*position, 42);
}

TEST(Tokens, AnotherStoreIsToldApartFromDamage) {
  const std::string token = WriteToken(kSecret, {"store", "filter", 42});
  const auto reason = [&](const std::string& text, const Token& expected) {
    return rpc::ReasonOf(ReadResumeToken(kSecret, text, expected).status());
  };
  EXPECT_EQ(reason(token, {"other", "filter", 100}), finetune::v1::RESUME_TOKEN_FOREIGN);
  EXPECT_EQ(reason(token, {"store", "other", 100}), finetune::v1::RESUME_TOKEN_INVALID);
  std::string changed = token;
  changed[changed.find(".42.") + 1] = '5';
  EXPECT_EQ(reason(changed, {"store", "filter", 100}), finetune::v1::RESUME_TOKEN_INVALID);
  for (size_t cut = 0; cut < token.size(); ++cut) {
    EXPECT_FALSE(ReadPageToken(kSecret, token.substr(0, cut), {"store", "filter", 100}).ok());
  }
}

TEST(OrdinaryTokens, ThatTheStoreNeverGaveOutAreRefused) {
  // With another key: made by somebody who knows the format.
  EXPECT_EQ(rpc::ReasonOf(ReadResumeToken(kSecret, WriteToken("guess", {"store", "filter", 42}),
                                          {"store", "filter", 100})
                              .status()),
            finetune::v1::RESUME_TOKEN_INVALID);
  // Ahead of the store: it was put back to a backup.
  EXPECT_EQ(rpc::ReasonOf(ReadResumeToken(kSecret, WriteToken(kSecret, {"store", "filter", 42}),
                                          {"store", "filter", 41})
                              .status()),
            finetune::v1::RESUME_TOKEN_FOREIGN);
}

}  // namespace
}  // namespace ft::api
