#include "worker/rank/base.h"

namespace ft::rank {
namespace {

using params::BaseKind;

// Over which base the adapter was trained.
BaseKind BaseOfTraining(const Trained& trained) {
  if (trained.whole()) return BaseKind::kStored;
  if (trained.text.method == "int8_lora") return BaseKind::kInt8;
  return trained.text.method == "qlora" ? BaseKind::kNf4 : BaseKind::kStored;
}

StatusOr<BaseKind> BaseOfBits(const std::string& bits) {
  if (bits == "4") return BaseKind::kNf4;
  if (bits == "8") return BaseKind::kInt8;
  return absl::InvalidArgumentError(StrCat("--bits '", bits, "' is none of: 4, 8"));
}

std::string ValuesOf(BaseKind base) {
  switch (base) {
    case BaseKind::kNf4: return "its weights in 4 bits (NF4)";
    case BaseKind::kInt8: return "its weights in 8 bits (by rows)";
    case BaseKind::kStored: break;
  }
  return "its weights as stored";
}

}  // namespace

StatusOr<BaseKind> BaseOf(const Flags& flags, const Trained& trained) {
  if (flags.Has("bits")) {
    if (flags.Has("base"))
      return absl::InvalidArgumentError("--bits stands beside --base: give one of the two");
    return BaseOfBits(flags.Get("bits"));
  }
  const std::string word = flags.Get("base", "auto");
  const BaseKind trained_over = BaseOfTraining(trained);
  if (word == "auto") return trained_over;
  if (word == "stored") return BaseKind::kStored;
  if (word == "dequantised") return trained_over == BaseKind::kInt8 ? BaseKind::kInt8 : BaseKind::kNf4;
  return absl::InvalidArgumentError(StrCat("--base '", word, "' is none of: auto, stored, dequantised"));
}

std::string BaseSentence(BaseKind base, const Trained& trained) {
  std::string sentence = StrCat("base model ", trained.model.string(), ", ", ValuesOf(base));
  if (!trained.whole() && !trained.text.method.empty()) {
    StrAppend(&sentence, base == BaseOfTraining(trained) ? ", as in training"
                                                         : ", not as in training: answers may differ");
  }
  return sentence;
}

}  // namespace ft::rank
