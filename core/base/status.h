// The project's form for expected failures: absl::Status and absl::StatusOr, and the two macros that pass them on.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/str_cat.h"

namespace ft {

using absl::Status;
using absl::StatusOr;

// The message as the standard's view.
inline std::string_view Message(const Status& status) { return FromAbsl(status.message()); }

// The same status, with its payloads, with "context: " before its message; an OK status stays OK.
inline Status WithContext(const Status& status, std::string_view context) {
  if (status.ok()) return status;
  Status longer(status.code(), StrCat(context, ": ", status.message()));
  status.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& payload) { longer.SetPayload(url, payload); });
  return longer;
}

}  // namespace ft

#define FT_CONCAT_INNER(a, b) a##b
#define FT_CONCAT(a, b) FT_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expr)                                 \
  do {                                                        \
    if (::absl::Status ft_status = (expr); !ft_status.ok()) { \
      return ft_status;                                       \
    }                                                         \
  } while (false)

#define FT_ASSIGN_OR_RETURN_INNER(result, lhs, expr)   \
  auto result = (expr);                                \
  if (!result.ok()) return std::move(result).status(); \
  lhs = std::move(result).value()

#define ASSIGN_OR_RETURN(lhs, expr) FT_ASSIGN_OR_RETURN_INNER(FT_CONCAT(ft_result_, __LINE__), lhs, expr)
