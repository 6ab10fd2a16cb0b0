#include "worker/rank/chat_responder.h"

#include "worker/data/prepare/model_files.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::rank {

StatusOr<std::unique_ptr<ChatResponder>> ChatResponder::Open(const std::filesystem::path& model,
                                                             const checkpoint::TextConfig& text,
                                                             generate::GenerateOptions options) {
  auto responder = std::make_unique<ChatResponder>();
  ASSIGN_OR_RETURN(responder->tokenizer_, prepare::OpenModelTokenizer(model));
  ASSIGN_OR_RETURN(responder->template_,
                   data::ChatTemplate::Open(text.template_name, *responder->tokenizer_));
  ASSIGN_OR_RETURN(responder->mode_, data::ParseTokenizeMode(text.tokenize));
  responder->options_ = std::move(options);
  responder->options_.stop_ids = responder->template_->StopIds(*responder->tokenizer_);
  return responder;
}

StatusOr<Answer> ChatResponder::Reply(const run::LanguageModel& model, const data::Conversation& past,
                                      const data::Turn& next,
                                      const std::function<void(std::string_view)>& show) const {
  ASSIGN_OR_RETURN(const std::vector<int32_t> prompt,
                   data::TokenizePrompt(*tokenizer_, *template_, {past, next}, mode_));
  tokenizer::Utf8Streamer streamer;
  const auto sink = [&](int32_t token) {
    if (show) show(streamer.Push(tokenizer_->Decode({&token, 1})));
    return true;
  };
  Answer answer;
  ASSIGN_OR_RETURN(answer.ids, generate::Generate(model, prompt, options_, sink));
  if (show) show(streamer.Flush());
  answer.text = tokenizer::ReplaceInvalidUtf8(tokenizer_->Decode(answer.ids));
  return answer;
}

}  // namespace ft::rank
