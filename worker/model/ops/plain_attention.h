// Causal attention by LibTorch's operators, segment by segment, on devices whose fused kernels do not know a shape: windows, capped
// scores, ALiBi. Each segment's scores are in memory whole, and are computed again for gradients.
#pragma once

#include <torch/types.h>

#include "worker/model/ops/attention.h"

namespace ft::ops {

// What autograd knows of the sinks; an empty tensor without any.
torch::Tensor SinkHandle(const AttentionShape& shape);

// Whether the shape has what only this knows.
bool NeedsPlainAttention(const AttentionShape& shape);

// CausalAttention on a device, for any shape.
torch::Tensor PlainAttention(const torch::Tensor& q_NHD, const torch::Tensor& k_MKD,
                             const torch::Tensor& v_MKD, const AttentionShape& shape);

}  // namespace ft::ops
