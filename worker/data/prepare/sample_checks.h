// What the gate must know of a tokenised conversation that only its tokens show.
#pragma once

#include "worker/data/prepare/collector.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft::prepare {

// Two beginning-of-sequence tokens side by side; only at the front where the same token also ends a sequence.
bool HasDoubledBos(const Sample& sample, const tokenizer::Tokenizer& tokenizer);

// An answer that carries loss is followed by a special token that does not, and has none of its own at its
// end: the model would never learn to stop.
bool HasUnsupervisedStop(const Sample& sample, const tokenizer::Tokenizer& tokenizer);

}  // namespace ft::prepare
