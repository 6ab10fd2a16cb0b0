// How an attention that may be computed a second time over the same rows spares itself the second time.
#pragma once

#include <utility>

#include "worker/model/ops/attention.h"

namespace ft::ops {

// What `saved` holds, which is empty then; else compute()'s result, a copy of which goes into `saved`. `saved` may be null.
template <typename Compute>
SavedAttention TakeOrCompute(SavedAttention* saved, Compute compute) {
  if (saved != nullptr && saved->out_NHD.defined()) return std::exchange(*saved, {});
  const SavedAttention result = compute();
  if (saved != nullptr) *saved = {result.out_NHD.detach(), result.lse};
  return result;
}

}  // namespace ft::ops
