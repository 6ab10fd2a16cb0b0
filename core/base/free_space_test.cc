#include "core/base/free_space.h"

#include <gtest/gtest.h>

namespace ft {
namespace {

TEST(FreeSpaceTest, IsAtMostWhatTheFileSystemSaysAndNamesAFolderThatIsNotThere) {
  const StatusOr<uint64_t> free = FreeBytes("/tmp");
  ASSERT_TRUE(free.ok()) << free.status();
  EXPECT_LE(*free, std::filesystem::space("/tmp").capacity);
  const Status missing = FreeBytes("/nowhere/at/all").status();
  EXPECT_TRUE(absl::IsNotFound(missing)) << missing;
  EXPECT_NE(Message(missing).find("/nowhere/at/all"), std::string_view::npos) << missing;
}

}  // namespace
}  // namespace ft
