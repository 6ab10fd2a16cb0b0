// What preparation needs to know of a model, read from its files without its weights.
#pragma once

#include <cstdint>
#include <filesystem>

#include "core/base/status.h"

namespace ft::prepare {

// The number of ids the model has rows for: `vocab_size` of config.json. INVALID_ARGUMENT names the file and the key.
StatusOr<int64_t> VocabSizeOf(const std::filesystem::path& model);

}  // namespace ft::prepare
