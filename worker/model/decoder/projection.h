// Products of a sub-layer over rows: projections with their adapters, and what is made of their outputs by use.
#pragma once

#include <torch/types.h>

#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "worker/model/decoder/decoder.h"
#include "worker/model/ops/epilogue.h"
#include "worker/model/ops/linear.h"

namespace ft::model {

// The projection as a layer of this pass. It refers to the projection, which outlives the graph.
ops::LinearLayer LayerOf(const Projection& projection, const ForwardContext& context, int64_t layer);

// The room that rows on a device need behind them for the adapters of the projections that read them, in `type` (ops/joined_rows.h).
int64_t RoomBehind(std::span<const Projection> readers, at::ScalarType type, at::Device device);

// What an epilogue makes of the outputs for these uses, in their order, of projections that read the same rows.
std::vector<torch::Tensor> ApplyProjections(const std::vector<Projection>& projections,
                                            const torch::Tensor& x_NI, const ForwardContext& context,
                                            int64_t layer, std::initializer_list<Use> uses,
                                            std::shared_ptr<const ops::Epilogue> epilogue);

// An MLP up to the input of its down projection, `output`, which alone reads it.
torch::Tensor GateAndUp(const DecoderConfig& config, const std::vector<Projection>& inputs,
                        const Projection& output, const torch::Tensor& x_NC, const ForwardContext& context,
                        int64_t layer);

// The output of a projection, float32 whatever the type of the product.
torch::Tensor Unrounded(const Projection& projection, const torch::Tensor& x_NI,
                        const ForwardContext& context, int64_t layer, at::ScalarType saved_dtype);

}  // namespace ft::model
