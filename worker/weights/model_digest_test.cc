#include "worker/weights/model_digest.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
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

}  // namespace
}  // namespace ft::weights
