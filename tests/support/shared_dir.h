// Where reference results and data sets lie: the folder `shared` beside the checkout, or $FT_SHARED.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace ft::testing {

// Nothing when this checkout has no such folder; tests that need it then skip and say so.
inline std::optional<std::filesystem::path> SharedDir() {
  const char* given = std::getenv("FT_SHARED");
  const std::filesystem::path dir = given != nullptr ? std::filesystem::path(given)
                                                     : std::filesystem::path(FT_SOURCE_DIR) / ".." / "shared";
  std::error_code error;
  if (!std::filesystem::is_directory(dir, error)) return std::nullopt;
  return std::filesystem::canonical(dir, error);
}

}  // namespace ft::testing
