// libFuzzer's entry: the parser that FT_FUZZ_PARSER names reads each input as a file. Without it, or for a
// name that is none, the names are printed and the status is 2. What a parser answers does not matter; that
// it comes back does.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "core/base/check.h"
#include "core/base/file.h"
#include "tests/fuzz/parsers.h"
#include "tests/support/temp_dir.h"

namespace {

const ft::fuzz::Parser* chosen = nullptr;

void Write(const std::filesystem::path& path, std::span<const uint8_t> bytes) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  FT_CHECK(file != nullptr) << path.string();
  FT_CHECK(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size()) << path.string();
  FT_CHECK(std::fclose(file) == 0) << path.string();
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* name = std::getenv("FT_FUZZ_PARSER");
  for (const ft::fuzz::Parser& parser : ft::fuzz::Parsers()) {
    if (name != nullptr && parser.name == std::string_view(name)) chosen = &parser;
  }
  if (chosen != nullptr) return 0;
  for (const ft::fuzz::Parser& parser : ft::fuzz::Parsers()) std::puts(parser.name);
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const ft::testing::TempDir dir;
  const std::filesystem::path path = dir / chosen->file_name;
  Write(path, {data, size});
  chosen->parse(path).IgnoreError();
  return 0;
}
