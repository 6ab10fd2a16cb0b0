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
  return responder;
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

StatusOr<Answer> ChatResponder::Reply(const run::LanguageModel& model, const data::Conversation& past,
                                      const data::Turn& next,
                                      const std::function<void(std::string_view)>& show) const {
  ASSIGN_OR_RETURN(const std::vector<int32_t> prompt, PromptIds(past, next));
  tokenizer::Utf8Streamer streamer;
  std::string so_far;
  bool continues = false;
  const auto stops = [&](const std::string& word) { return StopWordAt(so_far, word).has_value(); };
  const auto sink = [&](int32_t token) {
    const std::string more =
        streamer.Push(tokenizer_->Decode({&token, 1}, {.continues = std::exchange(continues, true)}));
    if (show) show(more);
    if (stop_words_.empty()) return true;
    so_far += more;
    return std::none_of(stop_words_.begin(), stop_words_.end(), stops);
  };
  Answer answer;
  ASSIGN_OR_RETURN(answer.ids, generate::Generate(model, prompt, options_, sink));
  if (show) show(streamer.Flush());
  answer.text = tokenizer::ReplaceInvalidUtf8(tokenizer_->Decode(answer.ids));
  for (const std::string& word : stop_words_) {
    if (const std::optional<size_t> begin = StopWordAt(answer.text, word)) answer.text.resize(*begin);
  }
  return answer;
}

}  // namespace ft::rank
