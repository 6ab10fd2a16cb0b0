// Opaque page and resume tokens. A token names its store, so one from another store is told apart, and its
// filter, so that it cannot be used with another. It is authenticated with the store's secret (HMAC-SHA-256): nobody makes a
// token that the coordinator did not give out.
#pragma once

#include <string>

#include "core/base/status.h"

namespace ft::api {

struct Token {
  std::string store_id;
  std::string filter;    // What the reader asked for.
  int64_t position = 0;  // A revision, or a job's order.
};

// What tokens of a store are made with.
struct TokenKey {
  std::string store_id;
  std::string secret;
};

std::string WriteToken(const std::string& secret, const Token& token);

// The token's position. `expected`: the store, the filter, and the furthest position that a token may have: what lies beyond
// it was never given out by this store. INVALID_ARGUMENT with reason RESUME_TOKEN_INVALID or RESUME_TOKEN_FOREIGN.
StatusOr<int64_t> ReadResumeToken(const std::string& secret, const std::string& text, const Token& expected);

// The same for pages, with reason PAGE_TOKEN_INVALID.
StatusOr<int64_t> ReadPageToken(const std::string& secret, const std::string& text, const Token& expected);

}  // namespace ft::api
