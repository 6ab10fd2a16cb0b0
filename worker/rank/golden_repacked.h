// A stored 4-bit base as the reference library trains on it after it has computed outside training on a CPU:
// before its bfloat16 kernel runs, it restores the block maxima and rounds them to bfloat16; when training
// begins, it quantises those again, with a new offset. docs/decisions/0004 tells how this was found.
#pragma once

#include <memory>

#include "core/base/status.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::rank {

// The same tensors with the maxima of every 4-bit weight passed through that. `stored` is read now and not
// kept. INVALID_ARGUMENT names a weight that is not as worker/model/params/bnb_checkpoint.h says.
StatusOr<std::unique_ptr<weights::TensorSource>> RepackedBase(const weights::TensorSource& stored);

}  // namespace ft::rank
