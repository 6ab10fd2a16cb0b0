#include "core/recipes/builtin_files.h"

#include <algorithm>

namespace ft::recipes {

const BuiltinFile* FindBuiltin(std::string_view path) {
  const auto files = BuiltinFiles();
  const auto found =
      std::lower_bound(files.begin(), files.end(), path,
                       [](const BuiltinFile& file, std::string_view wanted) { return file.path < wanted; });
  return found == files.end() || found->path != path ? nullptr : &*found;
}

}  // namespace ft::recipes
