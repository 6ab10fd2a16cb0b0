// Every saved file of tests/fuzz/corpus/<parser>/ and every seed is read again: those called good* must be accepted, all
// others may be refused and must not crash.
#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/file.h"
#include "tests/fuzz/parsers.h"
#include "tests/support/temp_dir.h"

namespace ft::fuzz {
namespace {

namespace fs = std::filesystem;

class Replay : public ::testing::TestWithParam<Parser> {};

TEST_P(Replay, SavedFilesAreReadOrRefused) {
  const ft::testing::TempDir dir;
  int good = 0;
  for (const char* root : {FT_SOURCE_DIR "/tests/fuzz/corpus", FT_FUZZ_SEEDS}) {
    const fs::path folder = fs::path(root) / GetParam().name;
    if (!fs::exists(folder)) continue;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const fs::path path = dir / GetParam().file_name;
      fs::copy_file(entry.path(), path, fs::copy_options::overwrite_existing);
      const Status status = GetParam().parse(path);
      if (!entry.path().filename().string().starts_with("good")) continue;
      EXPECT_TRUE(status.ok()) << entry.path() << ": " << status;
      ++good;
    }
  }
  EXPECT_GT(good, 0) << "no good file of " << GetParam().name;
}

INSTANTIATE_TEST_SUITE_P(Parsers, Replay, ::testing::ValuesIn(Parsers().begin(), Parsers().end()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace ft::fuzz
