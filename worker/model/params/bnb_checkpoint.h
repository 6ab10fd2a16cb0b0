// Weights saved in 4 bits as bitsandbytes lays them out in a checkpoint. For a weight W there are the tensors
//   W                                     uint8 [bytes, 1], the packed codes
//   W.absmax                              uint8 a block with double quantisation, else float32
//   W.quant_map                           float32 [16]
//   W.nested_absmax, W.nested_quant_map   float32, with double quantisation
//   W.quant_state.bitsandbytes__nf4       JSON as bytes: quant_type, blocksize, shape, nested_blocksize,
//   (or __fp4)                            nested_offset
#pragma once

#include <string_view>

#include "core/base/status.h"
#include "worker/model/ops/nf4.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::params {

// True when `name` is stored in 4 bits in `source`, as nf4 or fp4.
bool IsBnb4(const weights::TensorSource& source, std::string_view name);

// True for the tensors that accompany a quantised weight.
bool IsBnbCompanion(std::string_view name);

// The shape a 4-bit weight stands for, from its state; INVALID_ARGUMENT names the tensor.
StatusOr<std::vector<int64_t>> BnbShape(const weights::TensorSource& source, std::string_view name);

// As it is stored, for weights that stay in 4 bits. INVALID_ARGUMENT names the tensor and what does not fit;
// UNIMPLEMENTED where it cannot stay so: fp4, tables other than NF4's, block sizes other than 64 and 256.
StatusOr<ops::Nf4Tensor> ReadBnbNf4(const weights::TensorSource& source, std::string_view name);

// The weight in float32, of whatever kind and block size: what ReadBnbNf4 would give where it can, else by
// the file's own tables.
StatusOr<torch::Tensor> DequantiseBnb(const weights::TensorSource& source, std::string_view name);

}  // namespace ft::params
