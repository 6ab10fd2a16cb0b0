// Numbers of things as people write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace ft {

// "1 sample", "2 samples".
inline std::string Counted(int64_t number, std::string_view noun) {
  return StrCat(number, " ", noun, number == 1 ? "" : "s");
}

}  // namespace ft
