#include "core/hub/listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ft::hub {
namespace {

using testing::HasSubstr;

const std::string kSha1(40, 'a');
const std::string kSha256(64, 'b');

std::string Entry(const std::string& path, const std::string& more) {
  return StrCat(R"({"type":"file","path":")", path, R"(","size":7,"oid":")", kSha1, "\"", more, "}");
}

TEST(HubListingTest, SizesAndDigestsAreRead) {
  std::vector<HubFile> files;
  const std::string large =
      Entry("m.safetensors", StrCat(R"(,"lfs":{"oid":")", kSha256, R"(","size":900,"pointerSize":1})"));
  ASSERT_TRUE(ParseHuggingFaceTree(StrCat("[", Entry("a/config.json", ""), ",", large,
                                          R"(,{"type":"directory","path":"a","oid":"x"}])"),
                                   &files)
                  .ok());
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0], (HubFile{"a/config.json", 7, "", kSha1}));
  EXPECT_EQ(files[1].digest(), kSha256);
  EXPECT_EQ(files[1].size, 900);
  EXPECT_EQ(*ParseTreeText(TreeText(files)), files);
}

TEST(HubListingTest, PathsThatLeadOutAreRefused) {
  for (const char* path :
       {"../x", "a/../../x", "/etc/passwd", "a//b", "a/", "a/./b", "a\\\\b", "a\\u0001b", ""}) {
    std::vector<HubFile> files;
    EXPECT_FALSE(ParseHuggingFaceTree(StrCat("[", Entry(path, ""), "]"), &files).ok()) << path;
  }
  EXPECT_TRUE(IsCleanPath("a/..b/.c"));
  EXPECT_FALSE(IsCleanPath(std::string(256, 'a')));
}

TEST(HubListingTest, WhatIsNoListingIsSaid) {
  for (const char* json : {"", "<html>", "{}", "[1]", "[{\"type\":\"file\"}]"}) {
    std::vector<HubFile> files;
    const Status status = ParseHuggingFaceTree(json, &files);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << json;
  }
  std::vector<HubFile> files;
  EXPECT_FALSE(ParseHuggingFaceTree(StrCat("[", Entry("a", R"(,"size":-1)"), "]"), &files).ok());
  EXPECT_FALSE(
      ParseHuggingFaceTree(StrCat("[", Entry("a", R"(,"size":18446744073709551615)"), "]"), &files).ok());
  EXPECT_FALSE(ParseCommit(R"({"sha":"main"})").ok());
  EXPECT_EQ(*ParseCommit(StrCat(R"({"sha":")", kSha1, "\"}")), kSha1);
}

TEST(HubListingTest, PagesLeadOn) {
  EXPECT_EQ(NextPage("<https://h/api?cursor=x,y>; rel=\"next\""), "https://h/api?cursor=x,y");
  EXPECT_EQ(NextPage("<https://h/a>; rel=\"prev\", <https://h/b>; rel=\"next\""), "https://h/b");
  EXPECT_EQ(NextPage("<https://h/a>; rel=\"xet-auth\""), std::nullopt);
  EXPECT_EQ(NextPage("<https://h/a"), std::nullopt);
  EXPECT_EQ(NextPage(""), std::nullopt);
}

TEST(HubListingTest, ModelScopesFilesAndFoldersAreRead) {
  const std::string json = StrCat(
      R"({"Code":200,"Success":true,"Data":{"Files":[{"Path":"a","Type":"tree"},{"Path":"a/b","Type":"blob","Size":3,"Sha256":")",
      kSha256, R"("}]}})");
  const auto page = ParseModelScopeFiles(json);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->entries, 2u);
  EXPECT_EQ(page->folders, std::vector<std::string>{"a"});
  EXPECT_EQ(page->files[0], (HubFile{"a/b", 3, kSha256, ""}));
  const auto refused = ParseModelScopeFiles(R"({"Code":404,"Success":false,"Message":"no such thing"})");
  EXPECT_THAT(std::string(Message(refused.status())), HasSubstr("no such thing"));
  EXPECT_FALSE(ParseModelScopeFiles(R"({"Data":{"Files":[{"Path":"a","Type":"blob","Size":3}]}})").ok());
}

}  // namespace
}  // namespace ft::hub
