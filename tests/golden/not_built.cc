#include "tests/golden/not_built.h"

#include <fnmatch.h>

#include <sstream>

#include "core/base/file.h"

namespace ft::golden {
namespace {

constexpr uint64_t kMaxListBytes = 1 << 20;
constexpr const char* kBlanks = " \t\r";

}  // namespace

StatusOr<std::vector<NotBuilt>> ReadNotBuilt(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kMaxListBytes));
  std::vector<NotBuilt> list;
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const size_t begin = line.find_first_not_of(kBlanks);
    if (begin == std::string::npos || line[begin] == '#') continue;
    const size_t end = line.find_first_of(kBlanks, begin);
    const size_t reason = line.find_first_not_of(kBlanks, end);
    if (end == std::string::npos || reason == std::string::npos) {
      return absl::InvalidArgumentError(
          StrCat(file.string(), " line ", number, ": write a glob, and behind it what is missing"));
    }
    const size_t last = line.find_last_not_of(kBlanks);
    list.push_back({line.substr(begin, end - begin), line.substr(reason, last - reason + 1), number});
  }
  return list;
}

const NotBuilt* Find(const std::vector<NotBuilt>& list, const std::string& name) {
  for (const NotBuilt& entry : list) {
    if (::fnmatch(entry.glob.c_str(), name.c_str(), 0) == 0) return &entry;
  }
  return nullptr;
}

}  // namespace ft::golden
