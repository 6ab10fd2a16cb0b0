// Conversations to ids: the functions of chat_template.h that need a tokenizer for each text.
#include <utility>

#include "core/base/check.h"
#include "worker/data/chat/chat_template.h"

namespace ft::data {
namespace {

using tokenizer::EncodedToken;
using tokenizer::Tokenizer;
using Piece = ChatTemplate::Piece;

StatusOr<TokenizedSample> EncodeWhole(const Tokenizer& tokenizer, const Rendered& rendered) {
  ASSIGN_OR_RETURN(const std::vector<EncodedToken> tokens, tokenizer.EncodeWithOffsets(rendered.text));
  TokenizedSample sample;
  sample.ids.reserve(tokens.size());
  sample.loss_mask.reserve(tokens.size());
  size_t next = 0;
  for (const EncodedToken& token : tokens) {
    while (next < rendered.supervised.size() && rendered.supervised[next].end <= token.begin) ++next;
    const bool learnt = next < rendered.supervised.size() && rendered.supervised[next].begin <= token.begin &&
                        token.end <= rendered.supervised[next].end;
    sample.ids.push_back(token.id);
    sample.loss_mask.push_back(learnt ? 1 : 0);
  }
  return sample;
}

StatusOr<TokenizedSample> EncodePieces(const Tokenizer& tokenizer, const std::vector<Piece>& pieces) {
  TokenizedSample sample;
  for (const Piece& piece : pieces) {
    std::vector<int32_t> ids;
    if (piece.kind == Piece::Kind::kText) {
      ASSIGN_OR_RETURN(ids, tokenizer.Encode(piece.text));
    } else {
      const int32_t id = piece.kind == Piece::Kind::kBos ? tokenizer.bos_id() : tokenizer.eos_id();
      FT_CHECK(id >= 0);  // Open() and the pieces' maker have seen to it.
      ids.push_back(id);
    }
    sample.ids.insert(sample.ids.end(), ids.begin(), ids.end());
    sample.loss_mask.insert(sample.loss_mask.end(), ids.size(), piece.loss ? 1 : 0);
  }
  return sample;
}

}  // namespace

StatusOr<TokenizedSample> TokenizeConversation(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                                               const Conversation& conversation, TokenizeMode mode) {
  if (mode == TokenizeMode::kPieces) {
    ASSIGN_OR_RETURN(const std::vector<Piece> pieces, chat_template.Pieces(conversation));
    return EncodePieces(tokenizer, pieces);
  }
  ASSIGN_OR_RETURN(const Rendered rendered, chat_template.Render(conversation));
  return EncodeWhole(tokenizer, rendered);
}

StatusOr<std::vector<int32_t>> TokenizePrompt(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                                              const PromptRequest& request, TokenizeMode mode) {
  if (mode == TokenizeMode::kWhole) {
    ASSIGN_OR_RETURN(const std::string text, chat_template.RenderPrompt(request.past, request.next));
    return tokenizer.Encode(text);
  }
  ASSIGN_OR_RETURN(const std::vector<Piece> pieces, chat_template.PromptPieces(request.past, request.next));
  ASSIGN_OR_RETURN(TokenizedSample sample, EncodePieces(tokenizer, pieces));
  return std::move(sample.ids);
}

}  // namespace ft::data
