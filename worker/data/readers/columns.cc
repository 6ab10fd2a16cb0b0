#include "worker/data/readers/columns.h"

#include <algorithm>
#include <array>

namespace ft::data {
namespace {

constexpr std::array<std::string_view, 8> kSpaces = {" ",  "\t", "\r",       "\n",
                                                     "\v", "\f", "\xC2\xA0", "\xE3\x80\x80"};

}  // namespace

std::string Trimmed(std::string_view text) {
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view space : kSpaces) {
      if (text.starts_with(space)) {
        text.remove_prefix(space.size());
        again = true;
      }
      if (text.ends_with(space)) {
        text.remove_suffix(space.size());
        again = true;
      }
    }
  }
  return std::string(text);
}

Status CheckColumns(const std::string& place, std::vector<std::string>* names) {
  for (std::string& name : *names) name = Trimmed(name);
  while (!names->empty() && names->back().empty()) names->pop_back();
  if (names->empty()) {
    return absl::InvalidArgumentError(
        StrCat(place, ": the header row is empty; name the columns in the first row"));
  }
  for (size_t i = 0; i < names->size(); ++i) {
    if ((*names)[i].empty()) continue;
    if (std::find(names->begin(), names->begin() + static_cast<std::ptrdiff_t>(i), (*names)[i]) !=
        names->begin() + static_cast<std::ptrdiff_t>(i)) {
      return absl::InvalidArgumentError(
          StrCat(place, ": two columns are called \"", (*names)[i], "\"; rename one of them"));
    }
  }
  return absl::OkStatus();
}

}  // namespace ft::data
