#include "worker/model/weights/model_digest.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "tests/support/temp_dir.h"

namespace ft::weights {
namespace {

TEST(ModelDigestTest, ContentAndNamesDecideAndOtherFilesDoNot) {
  ft::testing::TempDir dir;
  ASSERT_TRUE(MakeDirectories(dir / "m").ok());
  ASSERT_TRUE(WriteFileDurably(dir / "m/config.json", "{}").ok());
  ASSERT_TRUE(WriteFileDurably(dir / "m/model.safetensors", "one").ok());
  const std::string first = *ModelDigest(dir / "m", dir / "cache");
  ASSERT_TRUE(WriteFileDurably(dir / "m/README.md", "text").ok());
  EXPECT_EQ(*ModelDigest(dir / "m", dir / "cache"), first);
  ASSERT_TRUE(WriteFileDurably(dir / "m/model.safetensors", "two").ok());
  EXPECT_NE(*ModelDigest(dir / "m", dir / "cache"), first);
  ASSERT_TRUE(WriteFileDurably(dir / "m/model.safetensors", "one").ok());
  EXPECT_EQ(*ModelDigest(dir / "m", dir / "cache"), first);
}

TEST(ModelDigestTest, MissingModelIsNamed) {
  ft::testing::TempDir dir;
  EXPECT_TRUE(absl::IsNotFound(ModelDigest(dir / "none", dir / "cache").status()));
  ASSERT_TRUE(MakeDirectories(dir / "empty").ok());
  EXPECT_TRUE(absl::IsNotFound(ModelDigest(dir / "empty", dir / "cache").status()));
}

TEST(ModelDigestTest, OrdinaryReadingGivesSignsOfLife) {
  ft::testing::TempDir dir;
  ASSERT_TRUE(WriteFileDurably(dir / "model.safetensors", std::string((2 << 20) + 5, 'x')).ok());
  int signs = 0;
  const auto digest = ModelDigest(dir.path(), dir / "cache", [&] { ++signs; });
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(signs, 3);
  EXPECT_EQ(*FileDigest(dir / "model.safetensors"), Hex(*Sha256OfFile(dir / "model.safetensors")));
}

}  // namespace
}  // namespace ft::weights
