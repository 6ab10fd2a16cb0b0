// Every parser of bytes from outside that needs no LibTorch, behind one signature, for replays and fuzzers.
#pragma once

#include <filesystem>
#include <span>

#include "core/base/status.h"

namespace ft::fuzz {

struct Parser {
  const char* name;
  const char* file_name;  // What the bytes are called on disk: readers look at the end of the name.
  // Reads all there is in the file, as the programs do. Any status will do; a crash, a hang or a sanitizer's report will
  // not.
  Status (*parse)(const std::filesystem::path& path);
};

std::span<const Parser> Parsers();

}  // namespace ft::fuzz
