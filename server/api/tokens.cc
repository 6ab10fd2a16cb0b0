#include "server/api/tokens.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include <charconv>
#include <optional>

#include "core/base/check.h"
#include "core/base/sha256.h"
#include "core/rpc/errors.h"
#include "finetune/v1/errors.pb.h"

namespace ft::api {
namespace {

constexpr size_t kMaxTokenBytes = 256;

std::string Short(const std::string& text) { return Hex(Sha256Of(text)).substr(0, 16); }

std::string Seal(const std::string& secret, const std::string& body) {
  Digest mac;
  unsigned int size = 0;
  FT_CHECK(HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                reinterpret_cast<const unsigned char*>(body.data()), body.size(), mac.data(),
                &size) != nullptr);
  return Hex(mac).substr(0, 32);
}

// store.filter.position.seal
std::optional<Token> Parse(const std::string& secret, const std::string& text) {
  if (text.size() > kMaxTokenBytes) return std::nullopt;
  const size_t seal_at = text.rfind('.');
  if (seal_at == std::string::npos) return std::nullopt;
  const size_t first = text.find('.');
  const size_t second = text.find('.', first + 1);
  if (second == std::string::npos || second >= seal_at) return std::nullopt;
  Token token;
  token.store_id = text.substr(0, first);
  token.filter = text.substr(first + 1, second - first - 1);
  const char* end = text.data() + seal_at;
  const auto parsed = std::from_chars(text.data() + second + 1, end, token.position);
  if (parsed.ptr != end || parsed.ec != std::errc() || token.position < 0) return std::nullopt;
  const std::string seal = Seal(secret, text.substr(0, seal_at));
  const bool same = text.size() - seal_at - 1 == seal.size() &&
                    CRYPTO_memcmp(seal.data(), text.data() + seal_at + 1, seal.size()) == 0;
  // The store's own name is no secret: a token of another store says so, instead of being called damaged.
  if (!same) token.position = -1;
  return token;
}

}  // namespace

std::string WriteToken(const std::string& secret, const Token& token) {
  const std::string body = StrCat(token.store_id, ".", Short(token.filter), ".", token.position);
  return StrCat(body, ".", Seal(secret, body));
}

StatusOr<int64_t> ReadResumeToken(const std::string& secret, const std::string& text, const Token& expected) {
  const std::optional<Token> token = Parse(secret, text);
  if (token && token->store_id != expected.store_id) {
    return rpc::WithReason(
        absl::InvalidArgumentError("the resume token is of another coordinator's store: start without one"),
        finetune::v1::RESUME_TOKEN_FOREIGN);
  }
  if (!token || token->filter != Short(expected.filter) || token->position < 0) {
    return rpc::WithReason(absl::InvalidArgumentError(
                               "the resume token is damaged or belongs to another watch: start without one"),
                           finetune::v1::RESUME_TOKEN_INVALID);
  }
  if (token->position > expected.position) {
    return rpc::WithReason(
        absl::InvalidArgumentError(StrCat("the resume token is of revision ", token->position,
                                          ", the store has reached ", expected.position,
                                          ", so it was put back to an earlier state: start without one")),
        finetune::v1::RESUME_TOKEN_FOREIGN);
  }
  return token->position;
}

StatusOr<int64_t> ReadPageToken(const std::string& secret, const std::string& text, const Token& expected) {
  const std::optional<Token> token = Parse(secret, text);
  const bool ours = token && token->store_id == expected.store_id &&
                    token->filter == Short(expected.filter) && token->position >= 0 &&
                    token->position <= expected.position;
  if (ours) return token->position;
  return rpc::WithReason(absl::InvalidArgumentError(
                             "the page token is damaged or belongs to another list: start at the first page"),
                         finetune::v1::PAGE_TOKEN_INVALID);
}

}  // namespace ft::api
