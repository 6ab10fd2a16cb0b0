#include "worker/data/tokenizer/tokenizer.h"

namespace ft::tokenizer {

StatusOr<std::vector<int32_t>> Tokenizer::Encode(std::string_view text, const EncodeOptions& options) const {
  ASSIGN_OR_RETURN(const std::vector<EncodedToken> tokens, EncodeWithOffsets(text, options));
  std::vector<int32_t> ids;
  ids.reserve(tokens.size());
  for (const EncodedToken& token : tokens) ids.push_back(token.id);
  return ids;
}

}  // namespace ft::tokenizer
