// Questions in, text out: a tokenizer, a chat template and a way of generating, for any model that they fit.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/data/chat/chat_template.h"
#include "worker/data/tokenizer/tokenizer.h"
#include "worker/model/generate/generate.h"
#include "worker/train/checkpoint/adapter.h"

namespace ft::rank {

struct Answer {
  std::string text;
  std::vector<int32_t> ids;
};

// Lives on the model's thread.
class ChatResponder {
 public:
  // The tokenizer lies with `model`; the text settings are those the adapter was trained with.
  static StatusOr<std::unique_ptr<ChatResponder>> Open(const std::filesystem::path& model,
                                                       const checkpoint::TextConfig& text,
                                                       generate::GenerateOptions options);

  // The answer to next.input after the turns so far. `show` gets whole characters as they come; may be empty.
  StatusOr<Answer> Reply(const run::LanguageModel& model, const data::Conversation& past,
                         const data::Turn& next, const std::function<void(std::string_view)>& show) const;

 private:
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  std::optional<data::ChatTemplate> template_;
  data::TokenizeMode mode_ = data::TokenizeMode::kWhole;
  generate::GenerateOptions options_;
};

}  // namespace ft::rank
