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

// How much of `text` is no part of any of the words, whatever follows.
size_t LengthBeforeStopWords(std::string_view text, const std::vector<std::string>& words);

// Lives on the model's thread.
class ChatResponder {
 public:
  struct Options {
    generate::GenerateOptions generate;
    std::vector<std::string>
        stop_words;  // End a text, beside the template's; not part of it. Line ends before and in them do not count.
    bool stops_at_template_words = false;  // The template's that are no single token, too.
    int64_t date = 0;                      // For templates that ask for it (data::ChatTemplateOptions).
  };
  // The template "none" leaves a prompt as it is, behind its system text. The tokenizer lies with `model`; the text settings are those the adapter was trained with.
  static StatusOr<std::unique_ptr<ChatResponder>> Open(const std::filesystem::path& model,
                                                       const checkpoint::TextConfig& text, Options options);

  // The answer to next.input after the turns so far. `show` is called for each token with the whole characters that can be shown by then;
  // together they are the answer's text. May be empty.
  StatusOr<Answer> Reply(const run::LanguageModel& model, const data::Conversation& past,
                         const data::Turn& next, const std::function<void(std::string_view)>& show) const;

  // What follows is generated so; stop ids stay the template's.
  void set_generate(generate::GenerateOptions options);

 private:
  StatusOr<std::vector<int32_t>> PromptIds(const data::Conversation& past, const data::Turn& next) const;
  // Where a stop word that `text` ends in begins.
  std::optional<size_t> StopsAt(std::string_view text) const;
  void AddTemplateWords();

  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  std::optional<data::ChatTemplate> template_;  // Nothing with "none".
  std::vector<std::string> stop_words_;
  data::TokenizeMode mode_ = data::TokenizeMode::kWhole;
  generate::GenerateOptions options_;
};

}  // namespace ft::rank
