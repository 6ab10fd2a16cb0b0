// The global gradient norm, and clipping by it.
#pragma once

#include "worker/model/params/parameter_store.h"

namespace ft::optim {

// Gradients that one sum of squares is taken of.
inline constexpr int64_t kNormBlock = 256;

// L2 norm over all gradients: sums of squares of blocks of 256 elements in one fixed order, added in fp64 by block
// index, tensor after tensor by name. The result does not depend on threads. NaN or infinity when a gradient has one.
// REQUIRES: the store's share is the whole.
double GlobalNorm(const params::ParameterStore& store);

// The same in two parts, for a store of which ranks own shares: the sums of its blocks, float32 on the host, and the norm of the blocks
// of the whole.
torch::Tensor SquaresByBlock(const torch::Tensor& gradients);
double NormOfBlocks(const plan::SliceTable& table, const float* squares);

// Multiplies the summed gradients by max_norm / (norm + 1e-6) when that is below 1 (torch.nn.utils.clip_grad_norm_).
// max_norm 0 = leave them.
void ClipByNorm(params::ParameterStore& store, double norm, double max_norm);

// Index of the first tensor (in order) of which the store's share of the gradients has a NaN or an infinity; size() when none has.
int FirstNonFinite(const params::ParameterStore& store);

}  // namespace ft::optim
