// Each expert's own weight within a tensor of all of them.
#pragma once

#include <torch/types.h>

#include "worker/model/decoder/layout.h"

namespace ft::model {

// The part's place in the whole tensor: a view. REQUIRES: part.fused.
torch::Tensor PartOf(const torch::Tensor& whole, const StoredWeight& part);

}  // namespace ft::model
