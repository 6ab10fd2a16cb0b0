// Which values of a base model chat, eval, merge and export use. An adapter of a qlora job was trained over a base
// in 4 bits: over the stored base it answers differently, so the same choice is the default everywhere, and
// each verb says which it was.
#pragma once

#include <string>

#include "worker/model/params/read_slot.h"
#include "worker/rank/flags.h"
#include "worker/rank/load_model.h"

namespace ft::rank {

// The meaning of --base auto|stored|dequantised, or of --bits 4|8 in its place, where a verb takes it. auto is what the adapter was trained
// over; dequantised is 8 bits by rows for an int8_lora job's adapter and else NF4, as a qlora job sees it. INVALID_ARGUMENT for other words,
// and for both.
StatusOr<params::BaseKind> BaseOf(const Flags& flags, const Trained& trained);

// For people: the base, its values, and why it matters.
std::string BaseSentence(params::BaseKind base, const Trained& trained);

}  // namespace ft::rank
