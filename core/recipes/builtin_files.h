// The files of recipes/ as they were when the program was built. Their content is data of ours: a test reads all of them.
#pragma once

#include <span>
#include <string_view>

namespace ft::recipes {

struct BuiltinFile {
  std::string_view path;  // Below recipes/: tasks/alpaca_e3.yaml
  std::string_view text;
};

// Sorted by path.
std::span<const BuiltinFile> BuiltinFiles();

// Null where there is none.
const BuiltinFile* FindBuiltin(std::string_view path);

}  // namespace ft::recipes
