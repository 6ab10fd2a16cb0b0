// The global gradient norm, and clipping by it.
#pragma once

#include <string>

#include "worker/model/params/parameter_store.h"

namespace ft::optim {

// L2 norm over all gradients: sums of squares of blocks of 256 elements in one fixed order, added in fp64 by block
// index, tensor after tensor by name. The result does not depend on threads. NaN or infinity when a gradient has one.
double GlobalNorm(const params::ParameterStore& store);

// Multiplies all gradients by max_norm / (norm + 1e-6) when that is below 1 (torch.nn.utils.clip_grad_norm_).
// max_norm 0 = leave them.
void ClipByNorm(params::ParameterStore& store, double norm, double max_norm);

// Name of the first parameter (in order) whose gradient has a NaN or an infinity; empty when none has.
std::string FirstNonFinite(const params::ParameterStore& store);

}  // namespace ft::optim
