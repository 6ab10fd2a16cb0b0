// Chat templates of real models with what Jinja2, as transformers sets it up, makes of conversations, compared with ours. They are the
// case `chat_templates` of the reference folder: about.json, conversations.json, expected.json, and a folder of templates.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "core/base/status.h"

namespace ft::testing {

struct Comparison {
  size_t all = 0;
  size_t other = 0;  // Of these.
};

struct ChatTemplateDifferences {
  Comparison texts;
  Comparison marks;     // Where a template says what the model wrote: the ranges of that.
  Comparison refusals;  // Conversations that the original refuses, and ours should.
  std::string first;    // The first that is otherwise, for people.
};

// INVALID_ARGUMENT and NOT_FOUND when a file is missing or not as described above, or a template cannot be read.
StatusOr<ChatTemplateDifferences> CompareChatTemplates(const std::filesystem::path& folder);

}  // namespace ft::testing
