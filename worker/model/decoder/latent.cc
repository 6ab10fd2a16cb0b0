#include "worker/model/decoder/latent.h"

#include <memory>
#include <vector>

#include "worker/model/decoder/projection.h"
#include "worker/model/ops/norm.h"

namespace ft::model {

using torch::Tensor;

QueriesKeysValues ProjectLatent(const DecoderConfig& config, const SubLayerWeights& weights,
                                const Tensor& x_NC, const ForwardContext& context, int64_t layer) {
  const Latent& latent = config.latent;
  const int64_t rows = x_NC.size(0), heads = config.heads;
  const auto unrounded = std::make_shared<ops::UnroundedEpilogue>();
  const ops::RopeTable& rope = context.ropes[static_cast<size_t>(config.PlanOf(layer).rotary)];
  const std::vector<Tensor> read = ApplyProjections(weights.inputs, x_NC, context, layer,
                                                    {Use::kQuery, Use::kLatent, Use::kTurnedKey}, unrounded);
  const Tensor normed_NR = ops::RmsNorm(read[1], *weights.latent_norm.weight,
                                        {.epsilon = config.norm_epsilon, .output = context.compute});
  const std::vector<Tensor> made = ApplyProjections(weights.from_latent, normed_NR, context, layer,
                                                    {Use::kPlainKey, Use::kValue}, unrounded);
  const Tensor query_NHD = read[0].view({rows, heads, latent.plain + latent.turned});
  const auto [turned_NHD, key_N1D] = ops::Rotate(query_NHD.narrow(2, latent.plain, latent.turned),
                                                 read[2].view({rows, 1, latent.turned}), rope);
  const Tensor plain_NHD = made[0].view({rows, heads, latent.plain});
  const Tensor value_NHD = made[1].view({rows, heads, latent.value});
  return {at::cat({query_NHD.narrow(2, 0, latent.plain), turned_NHD}, 2).to(context.compute),
          at::cat({plain_NHD, key_N1D.expand({rows, heads, latent.turned})}, 2).to(context.compute),
          at::constant_pad_nd(value_NHD, {0, config.head_size - latent.value}).to(context.compute)};
}

}  // namespace ft::model
