#include "core/hub/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/base/file.h"
#include "tests/support/temp_dir.h"

namespace ft::hub {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Variables Of(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

TEST(HubAccessTest, VariablesArePythons) {
  const Settings plain = SettingsOf(Of({{"HOME", "/h"}}));
  EXPECT_EQ(plain.huggingface_endpoint, "https://huggingface.co");
  EXPECT_EQ(plain.huggingface_cache, "/h/.cache/huggingface/hub");
  EXPECT_EQ(plain.modelscope_cache, "/h/.cache/modelscope");
  EXPECT_FALSE(plain.offline);
  EXPECT_EQ(SettingsOf(Of({{"HOME", "/h"}, {"HF_HOME", "~/x"}})).huggingface_cache, "/h/x/hub");
  EXPECT_EQ(SettingsOf(Of({{"HF_HOME", "/x"}, {"HF_HUB_CACHE", "/y"}})).huggingface_cache, "/y");
  EXPECT_EQ(SettingsOf(Of({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/c"}})).huggingface_cache,
            "/c/huggingface/hub");
  EXPECT_EQ(SettingsOf(Of({{"HF_ENDPOINT", "https://hf-mirror.com/"}})).huggingface_endpoint,
            "https://hf-mirror.com");
  EXPECT_EQ(SettingsOf(Of({{"MODELSCOPE_ENDPOINT", "modelscope.ai"}})).modelscope_endpoint,
            "https://modelscope.ai");
  EXPECT_TRUE(SettingsOf(Of({{"HF_HUB_OFFLINE", "1"}})).offline);
  EXPECT_TRUE(SettingsOf(Of({{"TRANSFORMERS_OFFLINE", "true"}})).offline);
  EXPECT_FALSE(SettingsOf(Of({{"HF_HUB_OFFLINE", "0"}})).offline);
  EXPECT_TRUE(SettingsOf(Of({})).huggingface_cache.empty());
}

TEST(HubAccessTest, TokensComeFromTheVariableThenTheFile) {
  const ft::testing::TempDir dir;
  ASSERT_TRUE(WriteFileDurably(dir / "token", "  hf_file\n").ok());
  const std::string home = dir.path().string();
  EXPECT_EQ(TokensOf(Of({{"HF_HOME", home}})).huggingface, "hf_file");
  EXPECT_EQ(TokensOf(Of({{"HF_HOME", home}, {"HF_TOKEN", " hf_variable "}})).huggingface, "hf_variable");
  EXPECT_EQ(TokensOf(Of({{"HF_HOME", home}, {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"}})).huggingface, "");
  EXPECT_EQ(TokensOf(Of({{"HF_TOKEN_PATH", home + "/none"}})).huggingface, "");
  EXPECT_EQ(TokensOf(Of({{"MODELSCOPE_API_TOKEN", "ms-1"}})).modelscope, "ms-1");
  ASSERT_TRUE(WriteFileDurably(dir / "token", "two words").ok());
  EXPECT_EQ(TokensOf(Of({{"HF_HOME", home}})).huggingface, "") << "it is no token";
}

TEST(HubAccessTest, EndpointsThatShowTokensAreRefused) {
  EXPECT_TRUE(CheckEndpoint("k", "https://hf-mirror.com").ok());
  EXPECT_TRUE(CheckEndpoint("k", "http://127.0.0.1:8080").ok());
  EXPECT_THAT(std::string(Message(CheckEndpoint("HF_ENDPOINT", "http://hf-mirror.com"))),
              HasSubstr("HF_ENDPOINT: http://hf-mirror.com would show tokens"));
  EXPECT_THAT(std::string(Message(CheckEndpoint("HF_ENDPOINT", "ftp://x"))), HasSubstr("write https://HOST"));
}

TEST(HubAccessTest, TravelsToRanksAsJson) {
  const Access access{{"https://a", "https://b", "/c", "/d", true}, {"t1", "t2"}};
  const auto read = AccessFromJson(ToJson(access));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->settings, access.settings);
  EXPECT_EQ(read->tokens, access.tokens);
  const Status broken = AccessFromJson("{\"huggingface_token\": \"secret\"}").status();
  EXPECT_THAT(std::string(Message(broken)), Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace ft::hub
