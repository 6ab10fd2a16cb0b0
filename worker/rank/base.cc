#include "worker/rank/base.h"

namespace ft::rank {
namespace {

bool WasQuantised(const Trained& trained) { return !trained.whole() && trained.text.method == "qlora"; }

}  // namespace

StatusOr<Base> BaseOf(const Flags& flags, const Trained& trained) {
  const std::string word = flags.Get("base", "auto");
  if (word == "auto") return WasQuantised(trained) ? Base::kDequantised : Base::kStored;
  if (word == "stored") return Base::kStored;
  if (word == "dequantised") return Base::kDequantised;
  return absl::InvalidArgumentError(StrCat("--base '", word, "' is none of: auto, stored, dequantised"));
}

std::string BaseSentence(Base base, const Trained& trained) {
  const std::string values =
      base == Base::kDequantised ? "its weights in 4 bits (NF4)" : "its weights as stored";
  std::string sentence = StrCat("base model ", trained.model.string(), ", ", values);
  const bool as_trained = (base == Base::kDequantised) == WasQuantised(trained);
  if (!trained.whole() && !trained.text.method.empty())
    StrAppend(&sentence, as_trained ? ", as in training" : ", not as in training: answers may differ");
  return sentence;
}

}  // namespace ft::rank
