#include "core/recipe/hub_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ft::recipe {
namespace {

using testing::HasSubstr;

TEST(HubSourceTest, RepositoriesAndRevisionsAreRead) {
  const auto model = ParseHubSource("hf://internlm/internlm-7b", RepositoryKind::kModel);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(*model, (HubSource{Hub::kHuggingFace, RepositoryKind::kModel, "internlm/internlm-7b", ""}));
  const auto pinned = ParseHubSource("modelscope://damo/MSAgent-Bench@v1.0", RepositoryKind::kDataset);
  ASSERT_TRUE(pinned.ok()) << pinned.status();
  EXPECT_EQ(*pinned, (HubSource{Hub::kModelScope, RepositoryKind::kDataset, "damo/MSAgent-Bench", "v1.0"}));
  EXPECT_EQ(ToText(*pinned), "modelscope://damo/MSAgent-Bench@v1.0");
  EXPECT_EQ(ParseHubSource("hf://gpt2@refs/pr/1", RepositoryKind::kModel)->revision, "refs/pr/1");
  EXPECT_EQ(ParseHubSource("hf://datasets/a/b", RepositoryKind::kDataset)->repository, "a/b");
}

TEST(HubSourceTest, WhatIsNoRepositoryIsRefusedWithHowToWriteIt) {
  for (const char* source :
       {"hf://", "hf:///a", "hf://a/", "hf://a/b/c", "hf://a/..", "hf://../b", "hf://.a/b", "hf://a/b?x=1",
        "hf://a/b c", "hf://a--b/c", "modelscope://a", "hf://a/b@", "hf://a/b@../x", "hf://a/b@x/",
        "hf://a/b@x//y", "hf://a/b@/x", "hf://a/b@x@y", "hf://a/b@x\n"}) {
    const Status status = ParseHubSource(source, RepositoryKind::kModel).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << source;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("OWNER/NAME@REVISION")) << source;
  }
  EXPECT_FALSE(ParseHubSource("hf://a/" + std::string(97, 'b'), RepositoryKind::kModel).ok());
  EXPECT_FALSE(ParseHubSource("hf://a/b@" + std::string(201, 'b'), RepositoryKind::kModel).ok());
  EXPECT_THAT(std::string(Message(ParseHubSource("hf://datasets/a/b", RepositoryKind::kModel).status())),
              HasSubstr("is a data set and no model"));
}

TEST(HubSourceTest, TheWebIsNoSource) {
  for (const char* source : {"/m", "upload://a/b", "hf://a/b", "modelscope://a/b"})
    EXPECT_TRUE(CheckRemoteSource(source, RepositoryKind::kModel).ok()) << source;
  EXPECT_THAT(std::string(Message(CheckRemoteSource("http://a/b", RepositoryKind::kModel))),
              HasSubstr("download it first and give the file"));
}

}  // namespace
}  // namespace ft::recipe
