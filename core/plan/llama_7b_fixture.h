// The sizes of Llama 2 7B, for tests.
#pragma once

#include "core/plan/estimate.h"

namespace ft::plan {

inline const ModelShape kLlama7B{.vocabulary = 32000,
                                 .hidden = 4096,
                                 .layers = 32,
                                 .heads = 32,
                                 .key_heads = 32,
                                 .head_size = 128,
                                 .intermediate = 11008};

}  // namespace ft::plan
