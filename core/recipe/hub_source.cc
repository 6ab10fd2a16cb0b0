#include "core/recipe/hub_source.h"

namespace ft::recipe {

bool IsRemoteSource(std::string_view source) { return source.find("://") != std::string_view::npos; }

Status RefuseHub(std::string_view source) {
  if (!IsRemoteSource(source) || source.starts_with("upload://")) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("'", source,
             "' lies on a hub or the web, and this version reads local files only: "
             "download it first and give the folder or file"));
}

}  // namespace ft::recipe
