#include "worker/rank/chat_responder.h"

#include <algorithm>
#include <utility>

#include "worker/data/prepare/model_files.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::rank {
namespace {

constexpr std::string_view kNoTemplate = "none";

bool EndsLine(char c) { return c == '\r' || c == '\n'; }

}  // namespace

std::optional<size_t> StopWordAt(std::string_view text, std::string_view word) {
  if (word.empty()) return std::nullopt;
  size_t at = text.size();
  for (size_t left = word.size(); left > 0;) {
    if (EndsLine(word[left - 1])) {
      --left;
      continue;
    }
    while (at > 0 && EndsLine(text[at - 1])) --at;
    if (at == 0 || text[at - 1] != word[left - 1]) return std::nullopt;
    --at;
    --left;
  }
  return at == text.size() ? std::nullopt : std::optional(at);
}

size_t LengthBeforeStopWords(std::string_view text, const std::vector<std::string>& words) {
  size_t length = text.size();
  for (const std::string_view word : words) {
    for (size_t of_word = 1; of_word <= word.size(); ++of_word) {
      if (const auto begin = StopWordAt(text, word.substr(0, of_word))) length = std::min(length, *begin);
    }
  }
  return length;
}

StatusOr<std::unique_ptr<ChatResponder>> ChatResponder::Open(const std::filesystem::path& model,
                                                             const checkpoint::TextConfig& text,
                                                             Options options) {
  auto responder = std::make_unique<ChatResponder>();
  ASSIGN_OR_RETURN(responder->tokenizer_, prepare::OpenModelTokenizer(model, text.eos_token));
  responder->options_ = std::move(options.generate);
  responder->stop_words_ = std::move(options.stop_words);
  if (text.template_name == kNoTemplate) {
    if (const int32_t eos = responder->tokenizer_->eos_id(); eos >= 0) responder->options_.stop_ids = {eos};
    return responder;
  }
  ASSIGN_OR_RETURN(responder->template_, data::ChatTemplate::Open(text.template_name, *responder->tokenizer_,
                                                                  {.date = options.date}));
  ASSIGN_OR_RETURN(responder->mode_, data::ParseTokenizeMode(text.tokenize));
  responder->options_.stop_ids = responder->template_->StopIds(*responder->tokenizer_);
  if (options.stops_at_template_words) responder->AddTemplateWords();
  return responder;
}

void ChatResponder::AddTemplateWords() {
  for (const std::string& word : template_->stop_words()) {
    const std::optional<int32_t> id = tokenizer_->TokenId(word);
    if (!id || !tokenizer_->is_special(*id)) stop_words_.push_back(word);
  }
}

void ChatResponder::set_generate(generate::GenerateOptions options) {
  options.stop_ids = std::move(options_.stop_ids);
  options_ = std::move(options);
}

StatusOr<std::vector<int32_t>> ChatResponder::PromptIds(const data::Conversation& past,
                                                        const data::Turn& next) const {
  if (template_) return data::TokenizePrompt(*tokenizer_, *template_, {past, next}, mode_);
  std::string text;
  for (const data::Turn& turn : past) StrAppend(&text, turn.system, turn.input, turn.output);
  return tokenizer_->Encode(StrCat(text, next.system, next.input), {.add_bos = tokenizer_->adds_bos()});
}

std::optional<size_t> ChatResponder::StopsAt(std::string_view text) const {
  for (const std::string& word : stop_words_) {
    if (const std::optional<size_t> begin = StopWordAt(text, word)) return begin;
  }
  return std::nullopt;
}

StatusOr<Answer> ChatResponder::Reply(const run::LanguageModel& model, const data::Conversation& past,
                                      const data::Turn& next,
                                      const std::function<void(std::string_view)>& show) const {
  ASSIGN_OR_RETURN(const std::vector<int32_t> prompt, PromptIds(past, next));
  tokenizer::Utf8Streamer streamer;
  std::string so_far;
  size_t shown = 0;
  bool continues = false;
  const auto show_until = [&](size_t end) {
    if (show) show(std::string_view(so_far).substr(shown, end - shown));
    shown = end;
  };
  const auto sink = [&](int32_t token) {
    so_far += streamer.Push(tokenizer_->Decode({&token, 1}, {.continues = std::exchange(continues, true)}));
    show_until(LengthBeforeStopWords(so_far, stop_words_));
    return !StopsAt(so_far);
  };
  Answer answer;
  ASSIGN_OR_RETURN(answer.ids, generate::Generate(model, prompt, options_, sink));
  so_far += streamer.Flush();
  show_until(StopsAt(so_far).value_or(so_far.size()));
  answer.text = tokenizer::ReplaceInvalidUtf8(tokenizer_->Decode(answer.ids));
  if (const std::optional<size_t> end = StopsAt(answer.text)) answer.text.resize(*end);
  return answer;
}

}  // namespace ft::rank
