// `ft-golden logits`: the logits of given token ids, for comparisons with other implementations.
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"

namespace ft::golden {

// logits --model M [--adapter A] --tokens FILE --out FILE [--dtype fp32|bf16] [--base stored|nf4]: FILE is a JSON list of
// lists of ids; the output is a safetensors file with one float32 tensor [length, vocabulary] a list, named "0", "1", ...
StatusOr<bool> LogitsVerb(const std::vector<std::string>& arguments);

}  // namespace ft::golden
