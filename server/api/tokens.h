// Opaque page and resume tokens. A token names its store, so one from another store is told apart, and its
// filter, so that it cannot be used with another; a digest at its end catches what was cut or mistyped.
#pragma once

#include <string>

#include "core/base/status.h"

namespace ft::api {

struct Token {
  std::string store_id;
  std::string filter;    // What the reader asked for.
  int64_t position = 0;  // A revision, or a job's order.
};

std::string WriteToken(const Token& token);

// INVALID_ARGUMENT with reason RESUME_TOKEN_INVALID or RESUME_TOKEN_FOREIGN.
StatusOr<int64_t> ReadResumeToken(const std::string& text, const std::string& store_id,
                                  const std::string& filter);

// INVALID_ARGUMENT with reason PAGE_TOKEN_INVALID.
StatusOr<int64_t> ReadPageToken(const std::string& text, const std::string& store_id,
                                const std::string& filter);

}  // namespace ft::api
