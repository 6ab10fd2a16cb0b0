// Prompts of a file: what a model is to be asked, one after the other.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace ft::prepare {

// Of a .txt file each line that is not empty; of any other that data may lie in (docs/formats/records.md) a field of each record: `prompt`,
// else `question`, `input` or `instruction`, in any case of letters, else its only field. INVALID_ARGUMENT names the file and the place of a
// record without one, a prompt that is empty or no text, a file without prompts, and one with more than `most`.
StatusOr<std::vector<std::string>> ReadPrompts(const std::filesystem::path& file, size_t most);

}  // namespace ft::prepare
