// Queries, keys and values of attention whose keys and values come from a few values a row (Latent).
#pragma once

#include <torch/types.h>

#include "worker/model/decoder/decoder.h"

namespace ft::model {

// In the type of products. With a latent, values are as long as keys: zeros stand behind them.
struct QueriesKeysValues {
  torch::Tensor q_NHD, k_NKD, v_NKD;
};

QueriesKeysValues ProjectLatent(const DecoderConfig& config, const SubLayerWeights& weights,
                                const torch::Tensor& x_NC, const ForwardContext& context, int64_t layer);

}  // namespace ft::model
