#include "worker/data/prepare/sample_checks.h"

#include <algorithm>
#include <span>
#include <string>

namespace ft::prepare {
namespace {

// Whether the last token before `end` that is more than white space is a special one.
bool EndsWithSpecial(const Sample& sample, size_t end, const tokenizer::Tokenizer& tokenizer) {
  for (size_t t = end; t-- > 0 && sample.loss_mask[t] != 0;) {
    if (tokenizer.is_special(sample.ids[t])) return true;
    const std::string text = tokenizer.Decode(std::span(sample.ids).subspan(t, 1));
    if (text.find_first_not_of(" \t\r\n") != std::string::npos) return false;
  }
  return false;
}

}  // namespace

bool HasDoubledBos(const Sample& sample, const tokenizer::Tokenizer& tokenizer) {
  const int32_t bos = tokenizer.bos_id();
  if (bos < 0) return false;
  if (bos == tokenizer.eos_id()) {
    // Between turns an end and a beginning stand side by side, and look the same.
    return sample.ids.size() >= 2 && sample.ids[0] == bos && sample.ids[1] == bos;
  }
  const auto both = std::adjacent_find(sample.ids.begin(), sample.ids.end(),
                                       [&](int32_t a, int32_t b) { return a == bos && b == bos; });
  return both != sample.ids.end();
}

bool HasUnsupervisedStop(const Sample& sample, const tokenizer::Tokenizer& tokenizer) {
  for (size_t t = 1; t < sample.ids.size(); ++t) {
    const bool answer_ended = sample.loss_mask[t - 1] != 0 && sample.loss_mask[t] == 0;
    if (answer_ended && tokenizer.is_special(sample.ids[t]) && !EndsWithSpecial(sample, t, tokenizer))
      return true;
  }
  return false;
}

}  // namespace ft::prepare
