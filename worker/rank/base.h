// Which values of a base model chat, merge and export use. An adapter of a qlora job was trained over a base
// in 4 bits: over the stored base it answers differently, so the same choice is the default everywhere, and
// each verb says which it was.
#pragma once

#include <string>

#include "worker/rank/flags.h"
#include "worker/rank/load_model.h"

namespace ft::rank {

enum class Base {
  kStored,       // As the model's files have it.
  kDequantised,  // Through NF4 with double quantisation, as a qlora job sees it.
};

// The meaning of --base auto|stored|dequantised. auto is what the adapter was trained over. INVALID_ARGUMENT for other
// words.
StatusOr<Base> BaseOf(const Flags& flags, const Trained& trained);

// For people: the base, its values, and why it matters.
std::string BaseSentence(Base base, const Trained& trained);

}  // namespace ft::rank
