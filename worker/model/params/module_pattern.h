// Names of modules as the settings of adapters choose them, with PEFT's meanings: last parts of names, whole names, and regular
// expressions (Python's, run by PCRE2) over whole names.
#pragma once

#include <string_view>

#include "core/base/status.h"

namespace ft::params {

// Whether it holds a character that names of modules do not have.
bool IsExpression(std::string_view text);

// INVALID_ARGUMENT for an expression that is none, UNIMPLEMENTED for one that is too long or takes too many steps over `module`.
StatusOr<bool> MatchesWhole(std::string_view expression, std::string_view module);

// Whether the module's name is `name` or ends with it, behind a dot.
bool EndsWith(std::string_view module, std::string_view name);

// Whether a key of PEFT's rank_pattern or alpha_pattern means the module: it matches the name, or its end behind a dot. Errors as
// MatchesWhole.
StatusOr<bool> MatchesKey(std::string_view key, std::string_view module);

}  // namespace ft::params
