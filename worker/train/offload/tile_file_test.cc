#include "worker/train/offload/tile_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "core/base/file.h"
#include "core/plan/state_tiles.h"
#include "tests/support/temp_dir.h"

namespace ft::offload {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kBytes = int64_t{4} << 20;

Status Opened(const fs::path& folder, int64_t bytes = kBytes) { return OpenTileFile(folder, bytes).status(); }

// Pages of the nameless file of this process in `folder` that lie in the page cache, -1 where there is none.
int64_t CachedPages(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    const std::string target = fs::read_symlink(entry.path(), error).string();
    if (!target.starts_with(folder.string() + "/") || !target.ends_with("(deleted)")) continue;
    const int fd = std::atoi(entry.path().filename().c_str());
    void* memory = ::mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) return -1;
    std::vector<unsigned char> pages(static_cast<size_t>(kBytes / ::sysconf(_SC_PAGESIZE)));
    const int asked = ::mincore(memory, kBytes, pages.data());
    ::munmap(memory, kBytes);
    int64_t cached = 0;
    for (const unsigned char page : pages) cached += page & 1;
    return asked == 0 ? cached : -1;
  }
  return -1;
}

TEST(TileFileTest, NothingIsLeftInTheFolderAndThePageCacheStaysEmpty) {
  const ft::testing::TempDir dir;
  StatusOr<OpenedTileFile> opened = OpenTileFile(dir.path(), kBytes);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_TRUE(fs::is_empty(dir.path()));
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(plan::kTileAlignment, kBytes));
  const std::span<std::byte> bytes(memory, kBytes);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = std::byte(i % 251);
  EXPECT_EQ(opened->file->WriteAt(0, bytes), kBytes);
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  EXPECT_EQ(opened->file->ReadAt(0, bytes), kBytes);
  for (size_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], std::byte(i % 251)) << i;
  if (opened->remark.empty()) {
    EXPECT_EQ(CachedPages(dir.path()), 0);
  }
  EXPECT_TRUE(fs::is_empty(dir.path()));
  std::free(memory);
}

TEST(TileFileTest, MemoryInTheGuiseOfADiskIsSaid) {
  if (!fs::is_directory("/dev/shm")) GTEST_SKIP() << "there is no /dev/shm";
  const StatusOr<OpenedTileFile> opened = OpenTileFile("/dev/shm", kBytes);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->remark,
            "the file system of /dev/shm cannot go past the page cache: what is on disk takes memory too");
}

TEST(TileFileTest, AFolderThatCannotBeUsedIsNamed) {
  const ft::testing::TempDir dir;
  EXPECT_EQ(Message(Opened(dir.path() / "none")),
            StrCat("there is no folder ", dir.path().string(), "/none: make it, or give another"));
  ASSERT_TRUE(WriteFileDurably(dir.path() / "file", "x").ok());
  EXPECT_EQ(Message(Opened(dir.path() / "file")),
            StrCat(dir.path().string(), "/file is no folder: give one"));
  // Where nobody can write, whoever they are.
  const Status unwritable = Opened("/proc/self");
  EXPECT_FALSE(unwritable.ok());
  EXPECT_THAT(Message(unwritable), HasSubstr("/proc/self"));
}

TEST(TileFileTest, AFolderOfAnotherUserIsNamed) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  const ft::testing::TempDir dir;
  ASSERT_EQ(::chmod(dir.path().c_str(), 0500), 0);
  EXPECT_EQ(Message(Opened(dir.path())), StrCat("nothing can be written into ", dir.path().string(),
                                                ": let this user write there, or give another folder"));
  ::chmod(dir.path().c_str(), 0700);
}

// No machine has so much, and nothing is written to find it out.
TEST(TileFileTest, ADiskThatIsTooSmallSaysWhatIsNeededAndFree) {
  const ft::testing::TempDir dir;
  const int64_t wanted = int64_t{1} << 60;
  const Status full = Opened(dir.path(), wanted);
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_THAT(
      Message(full),
      AllOf(HasSubstr(StrCat("the optimizer's state needs ", wanted, " bytes in ", dir.path().string())),
            HasSubstr(" are free: make room, or give another folder")));
}

}  // namespace
}  // namespace ft::offload
