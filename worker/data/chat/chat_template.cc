#include "worker/data/chat/chat_template.h"

#include <algorithm>
#include <utility>

#include "core/base/excerpt.h"

namespace ft::data {
namespace {

using Kind = ChatTemplate::Piece::Kind;

constexpr std::string_view kModelTemplate = "model";
constexpr std::string_view kInputPlace = "{input}";

std::string TokenText(const tokenizer::Tokenizer& tokenizer, int32_t id) {
  return id < 0 ? std::string() : tokenizer.Decode(std::span<const int32_t>(&id, 1));
}

std::optional<std::tm> TimeOf(int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  if (seconds == 0 || gmtime_r(&time, &parts) == nullptr) return std::nullopt;
  return parts;
}

// `text` with the first `place` replaced.
std::string Fill(std::string_view text, std::string_view place, std::string_view value) {
  const size_t at = text.find(place);
  if (at == std::string_view::npos) return std::string(text);
  return StrCat(text.substr(0, at), value, text.substr(at + place.size()));
}

// The instruction with round and input; the input comes last so that a placeholder in it stays what it is.
std::string FillInstruction(std::string_view instruction, std::string_view input, size_t round) {
  const size_t at = instruction.find(kInputPlace);
  const std::string number = StrCat(round);
  if (at == std::string_view::npos) return Fill(instruction, "{round}", number);
  return StrCat(Fill(instruction.substr(0, at), "{round}", number), input,
                Fill(instruction.substr(at + kInputPlace.size()), "{round}", number));
}

}  // namespace

StatusOr<TokenizeMode> ParseTokenizeMode(std::string_view name) {
  if (name == "whole") return TokenizeMode::kWhole;
  if (name == "pieces") return TokenizeMode::kPieces;
  return absl::InvalidArgumentError(StrCat("tokenize is \"", name, "\"; it must be whole or pieces"));
}

std::vector<std::string> ChatTemplate::Names() {
  std::vector<std::string> names = {std::string(kModelTemplate)};
  for (const NamedTemplate& known : AllNamedTemplates()) names.emplace_back(known.name);
  return names;
}

ChatTemplate::ChatTemplate(std::string_view name, const tokenizer::Tokenizer& tokenizer)
    : name_(name),
      bos_text_(tokenizer.Decode(tokenizer.bos_ids())),
      eos_text_(TokenText(tokenizer, tokenizer.eos_id())),
      pad_text_(TokenText(tokenizer, tokenizer.pad_id())),
      unk_text_(TokenText(tokenizer, tokenizer.traits().unk_id)),
      eos_id_(tokenizer.eos_id()) {}

StatusOr<ChatTemplate> ChatTemplate::Open(std::string_view name, const tokenizer::Tokenizer& tokenizer,
                                          const ChatTemplateOptions& options) {
  ChatTemplate made(name, tokenizer);
  made.now_ = TimeOf(options.date);
  if (name == kModelTemplate) {
    RETURN_IF_ERROR(made.UseModelTemplate(tokenizer));
    return made;
  }
  for (const NamedTemplate& known : AllNamedTemplates()) {
    if (known.name == name) made.named_ = known;
  }
  if (!made.named_) {
    std::string names;
    for (const std::string& known : Names()) StrAppend(&names, names.empty() ? "" : ", ", known);
    return absl::NotFoundError(StrCat("there is no chat template \"", name, "\"; known are ", names));
  }
  if (!made.named_->suffix_as_eos && tokenizer.eos_id() < 0) {
    return absl::InvalidArgumentError(
        StrCat("the chat template ", name,
               " ends answers with EOS, but the tokenizer names none; set eos_token in "
               "tokenizer_config.json or choose another template"));
  }
  made.stop_words_.assign(made.named_->stop_words.begin(), made.named_->stop_words.end());
  return made;
}

std::vector<int32_t> ChatTemplate::StopIds(const tokenizer::Tokenizer& tokenizer) const {
  std::vector<int32_t> ids;
  if (eos_id_ >= 0) ids.push_back(eos_id_);
  for (const std::string& word : stop_words_) {
    const std::optional<int32_t> id = tokenizer.TokenId(word);
    if (id && tokenizer.is_special(*id) && std::find(ids.begin(), ids.end(), *id) == ids.end())
      ids.push_back(*id);
  }
  return ids;
}

StatusOr<std::string> ChatTemplate::FillPrompt(const Turn& turn, size_t round) const {
  std::string_view instruction = named_->instruction;
  if (named_->repeats_bos && turn.input.empty()) {
    // v0.1.9 then keeps only what follows the input.
    const size_t at = instruction.find(kInputPlace);
    instruction.remove_prefix(at == std::string_view::npos ? 0 : at + kInputPlace.size());
  }
  const std::string question = FillInstruction(instruction, turn.input, round);
  if (turn.system.empty()) return question;
  if (named_->system.empty()) {
    return absl::InvalidArgumentError(StrCat("the chat template ", name_, " has no place for a system text"));
  }
  return Fill(named_->system, "{system}", turn.system) + question;
}

StatusOr<std::vector<ChatTemplate::Piece>> ChatTemplate::NamedPieces(const Conversation& turns,
                                                                     const Turn* next) const {
  std::vector<Piece> pieces;
  bool after_eos = true;
  const auto begin_turn = [&](const Turn& turn, size_t round) -> Status {
    RETURN_IF_ERROR(CheckUtf8(turn));
    if (named_->has_bos && !bos_text_.empty() && (after_eos || named_->repeats_bos))
      pieces.push_back({.kind = Kind::kBos});
    ASSIGN_OR_RETURN(std::string prompt, FillPrompt(turn, round));
    pieces.push_back({.text = std::move(prompt)});
    return absl::OkStatus();
  };
  for (size_t i = 0; i < turns.size(); ++i) {
    const Turn& turn = turns[i];
    if (!turn.answered) {
      return absl::InvalidArgumentError(
          StrCat("two messages of the same side follow each other (the first is \"",
                 Excerpt(turn.input.empty() ? turn.system : turn.input), "\"), and the chat template ", name_,
                 " writes a question only with its answer; join them in the data, or use template: model"));
    }
    RETURN_IF_ERROR(begin_turn(turn, i + 1));
    pieces.push_back({.text = StrCat(turn.output, named_->suffix), .loss = turn.loss});
    after_eos = !named_->suffix_as_eos;
    if (after_eos) pieces.push_back({.kind = Kind::kEos, .loss = turn.loss});
    if (!named_->separator.empty()) pieces.push_back({.text = std::string(named_->separator)});
  }
  if (next != nullptr) RETURN_IF_ERROR(begin_turn(*next, turns.size() + 1));
  return pieces;
}

std::string ChatTemplate::Join(const std::vector<Piece>& pieces, std::vector<ByteSpan>* supervised) const {
  std::string text;
  for (const Piece& piece : pieces) {
    const size_t begin = text.size();
    text += piece.kind == Kind::kBos ? bos_text_ : piece.kind == Kind::kEos ? eos_text_ : piece.text;
    if (!piece.loss || text.size() == begin) continue;
    if (!supervised->empty() && supervised->back().end == begin) {
      supervised->back().end = text.size();
    } else {
      supervised->push_back({begin, text.size()});
    }
  }
  return text;
}

StatusOr<Rendered> ChatTemplate::Render(const Conversation& conversation) const {
  if (jinja_) return RenderJinja(conversation);
  ASSIGN_OR_RETURN(const std::vector<Piece> pieces, NamedPieces(conversation, nullptr));
  Rendered rendered;
  rendered.text = Join(pieces, &rendered.supervised);
  return rendered;
}

StatusOr<std::string> ChatTemplate::RenderPrompt(const Conversation& past, const Turn& next) const {
  std::vector<ByteSpan> ignored;
  ASSIGN_OR_RETURN(const std::vector<Piece> pieces, PromptPieces(past, next));
  return Join(pieces, &ignored);
}

StatusOr<std::vector<ChatTemplate::Piece>> ChatTemplate::PromptPieces(const Conversation& past,
                                                                      const Turn& next) const {
  if (named_) return NamedPieces(past, &next);
  ASSIGN_OR_RETURN(ModelMessages given, MessagesOf(past));
  RETURN_IF_ERROR(CheckUtf8(next));
  RETURN_IF_ERROR(AddQuestion(next, &given.messages));
  ASSIGN_OR_RETURN(JinjaTemplate::Output output,
                   RunJinja(given, given.messages.size(), /*add_generation_prompt=*/true));
  std::vector<Piece> pieces;
  pieces.push_back({.text = std::move(output.text)});
  return pieces;
}

StatusOr<std::vector<ChatTemplate::Piece>> ChatTemplate::Pieces(const Conversation& conversation) const {
  if (named_) return NamedPieces(conversation, nullptr);
  ASSIGN_OR_RETURN(const Rendered rendered, RenderJinja(conversation));
  std::vector<Piece> pieces;
  size_t done = 0;
  const auto add = [&](size_t end, bool loss) {
    if (end > done) pieces.push_back({.text = rendered.text.substr(done, end - done), .loss = loss});
    done = end;
  };
  for (const ByteSpan& span : rendered.supervised) {
    add(span.begin, false);
    add(span.end, true);
  }
  add(rendered.text.size(), false);
  return pieces;
}

}  // namespace ft::data
