#include "server/api/tokens.h"

#include <cstdlib>
#include <optional>

#include "core/base/sha256.h"
#include "core/rpc/errors.h"
#include "finetune/v1/errors.pb.h"

namespace ft::api {
namespace {

constexpr size_t kMaxTokenBytes = 256;

std::string Short(const std::string& text) { return Hex(Sha256Of(text)).substr(0, 16); }

// store.filter.position.digest
std::optional<Token> Parse(const std::string& text) {
  if (text.size() > kMaxTokenBytes) return std::nullopt;
  const size_t digest_at = text.rfind('.');
  if (digest_at == std::string::npos || Short(text.substr(0, digest_at)) != text.substr(digest_at + 1))
    return std::nullopt;
  const size_t first = text.find('.');
  const size_t second = text.find('.', first + 1);
  if (second == std::string::npos || second >= digest_at) return std::nullopt;
  Token token;
  token.store_id = text.substr(0, first);
  token.filter = text.substr(first + 1, second - first - 1);
  token.position = std::strtoll(text.c_str() + second + 1, nullptr, 10);
  return token;
}

}  // namespace

std::string WriteToken(const Token& token) {
  const std::string body = StrCat(token.store_id, ".", Short(token.filter), ".", token.position);
  return StrCat(body, ".", Short(body));
}

StatusOr<int64_t> ReadResumeToken(const std::string& text, const std::string& store_id,
                                  const std::string& filter) {
  const std::optional<Token> token = Parse(text);
  if (!token || (token->store_id == store_id && token->filter != Short(filter))) {
    return rpc::WithReason(absl::InvalidArgumentError(
                               "the resume token is damaged or belongs to another watch: start without one"),
                           finetune::v1::RESUME_TOKEN_INVALID);
  }
  if (token->store_id != store_id) {
    return rpc::WithReason(
        absl::InvalidArgumentError("the resume token is of another coordinator's store: start without one"),
        finetune::v1::RESUME_TOKEN_FOREIGN);
  }
  return token->position;
}

StatusOr<int64_t> ReadPageToken(const std::string& text, const std::string& store_id,
                                const std::string& filter) {
  const std::optional<Token> token = Parse(text);
  if (!token || token->store_id != store_id || token->filter != Short(filter)) {
    return rpc::WithReason(
        absl::InvalidArgumentError(
            "the page token is damaged or belongs to another list: start at the first page"),
        finetune::v1::PAGE_TOKEN_INVALID);
  }
  return token->position;
}

}  // namespace ft::api
