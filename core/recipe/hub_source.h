// Sources of models and data that lie on a hub or the web: this version reads local files only.
#pragma once

#include <string_view>

#include "core/base/status.h"

namespace ft::recipe {

// Whether a source is written as an address, uploads (upload://) among them.
bool IsRemoteSource(std::string_view source);

// INVALID_ARGUMENT with what to do, for an address that is no upload.
Status RefuseHub(std::string_view source);

}  // namespace ft::recipe
