// Conversations as the text a model is trained on, and which bytes of it carry loss: each answer and the mark
// that ends it, never the question, the system text or what lies between turns.
//
// A template is one of XTuner's (named_templates.h; "qwen_chat" = v0.1.23, "qwen_chat@0.1.9" = as the recipes
// of that version ran), "chatml", or "model": the Jinja template that came with the tokenizer. The same
// object renders training samples and the prompts of a chat.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "worker/data/chat/conversation.h"
#include "worker/data/chat/named_templates.h"
#include "worker/data/jinja/jinja.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft::data {

// Bytes [begin, end) of a text.
struct ByteSpan {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const ByteSpan&) const = default;
};

// Spans are disjoint and in order.
struct Rendered {
  std::string text;
  std::vector<ByteSpan> supervised;
};

// Ids and, for each, whether it is learnt (1) or only read (0).
struct TokenizedSample {
  std::vector<int32_t> ids;
  std::vector<uint8_t> loss_mask;
};

enum class TokenizeMode {
  kWhole,   // The text as one string; equals what Hugging Face makes of its own template.
  kPieces,  // Question, answer and separator each on its own, BOS and EOS as ids; equals XTuner.
};
// "whole" or "pieces".
StatusOr<TokenizeMode> ParseTokenizeMode(std::string_view name);

// Immutable and thread-safe.
class ChatTemplate {
 public:
  // NOT_FOUND lists the known names; INVALID_ARGUMENT when the tokenizer has no template, its template uses
  // something that is not supported (named with its line), or an answer would end in an EOS that the
  // tokenizer does not have.
  static StatusOr<ChatTemplate> Open(std::string_view name, const tokenizer::Tokenizer& tokenizer);
  // "model" and all named ones.
  static std::vector<std::string> Names();

  const std::string& name() const { return name_; }

  // INVALID_ARGUMENT for a system text that the template has no place for, messages that the model's template
  // refuses, a model's template under which an answer cannot be located or which drops or changes what it is
  // given, and under a named template for two messages of one side in a row.
  StatusOr<Rendered> Render(const Conversation& conversation) const;
  // What stands before the answer to next.input after the turns so far; next.output is not used.
  StatusOr<std::string> RenderPrompt(const Conversation& past, const Turn& next) const;

  // Texts at which an answer ends, beside EOS.
  const std::vector<std::string>& stop_words() const { return stop_words_; }
  // EOS and those stop words that are single special tokens.
  std::vector<int32_t> StopIds(const tokenizer::Tokenizer& tokenizer) const;

  // As text pieces in order, for TokenizeMode::kPieces.
  struct Piece {
    enum class Kind { kText, kBos, kEos };
    Kind kind = Kind::kText;
    std::string text;
    bool loss = false;
    bool operator==(const Piece&) const = default;
  };
  StatusOr<std::vector<Piece>> Pieces(const Conversation& conversation) const;
  StatusOr<std::vector<Piece>> PromptPieces(const Conversation& past, const Turn& next) const;

 private:
  explicit ChatTemplate(std::string_view name, const tokenizer::Tokenizer& tokenizer);
  Status UseModelTemplate(const tokenizer::Tokenizer& tokenizer);
  StatusOr<std::string> FillPrompt(const Turn& turn, size_t round) const;
  StatusOr<std::vector<Piece>> NamedPieces(const Conversation& turns, const Turn* next) const;
  std::string Join(const std::vector<Piece>& pieces, std::vector<ByteSpan>* supervised) const;

  // The first `count` messages by the model's template.
  StatusOr<JinjaTemplate::Output> RunJinja(const jinja::List& messages, size_t count,
                                           bool add_generation_prompt) const;
  StatusOr<Rendered> RenderJinja(const Conversation& conversation) const;
  // Where the assistant's message lies in `total`, with what the template puts behind it.
  StatusOr<ByteSpan> LocateAnswer(const jinja::List& messages, size_t message, bool after_question,
                                  std::string_view total) const;
  // The same of an answer that no question precedes: many templates begin otherwise for it than for a prompt.
  // `with`: the messages up to it, rendered. `lost`: what to return when it is not found.
  StatusOr<ByteSpan> LocateOpening(const jinja::List& messages, size_t message, std::string_view with,
                                   const Status& lost) const;

  std::string name_;
  std::optional<NamedTemplate> named_;
  std::optional<JinjaTemplate> jinja_;
  std::string bos_text_, eos_text_, pad_text_;  // Empty = the tokenizer has none.
  int32_t eos_id_ = -1;
  std::vector<std::string> stop_words_;
};

// A conversation as ids with their loss marks. In mode kWhole a token counts as learnt only when all its
// bytes are.
StatusOr<TokenizedSample> TokenizeConversation(const tokenizer::Tokenizer& tokenizer,
                                               const ChatTemplate& chat_template,
                                               const Conversation& conversation, TokenizeMode mode);

struct PromptRequest {
  const Conversation& past;
  const Turn& next;
};
// The prompt of a chat as ids, in the mode that the model was trained with.
StatusOr<std::vector<int32_t>> TokenizePrompt(const tokenizer::Tokenizer& tokenizer,
                                              const ChatTemplate& chat_template, const PromptRequest& request,
                                              TokenizeMode mode);

}  // namespace ft::data
