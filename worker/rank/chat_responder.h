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

// Where `word` begins at the end of `text`, whose line ends (CR, LF) are passed over; nothing where the text does not end in it.
std::optional<size_t> StopWordAt(std::string_view text, std::string_view word);

// Lives on the model's thread.
class ChatResponder {
 public:
  struct Options {
    generate::GenerateOptions generate;
    std::vector<std::string>
        stop_words;  // End a text, beside the template's; not part of it. Line ends before and in them do not count.
    int64_t date = 0;  // For templates that ask for it (data::ChatTemplateOptions).
  };
  // The template "none" leaves a prompt as it is, behind its system text. The tokenizer lies with `model`; the text settings are those the adapter was trained with.
  static StatusOr<std::unique_ptr<ChatResponder>> Open(const std::filesystem::path& model,
                                                       const checkpoint::TextConfig& text, Options options);

  // The answer to next.input after the turns so far. `show` gets whole characters as they come; may be empty.
  StatusOr<Answer> Reply(const run::LanguageModel& model, const data::Conversation& past,
                         const data::Turn& next, const std::function<void(std::string_view)>& show) const;

  // What follows is generated so; stop ids stay the template's.
  void set_generate(generate::GenerateOptions options);

 private:
  StatusOr<std::vector<int32_t>> PromptIds(const data::Conversation& past, const data::Turn& next) const;

  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  std::optional<data::ChatTemplate> template_;  // Nothing with "none".
  std::vector<std::string> stop_words_;
  data::TokenizeMode mode_ = data::TokenizeMode::kWhole;
  generate::GenerateOptions options_;
};

}  // namespace ft::rank
