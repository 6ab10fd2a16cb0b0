#include "worker/model/ops/dora.h"

#include "worker/model/ops/fused_gemm.h"

namespace ft::ops {

using torch::Tensor;

Tensor RowSquares(const WeightSlot& weight_OI) {
  const Tensor weight = weight_OI.Materialise(at::kFloat);
  return (weight * weight).sum(1);
}

Tensor InverseRowLengths(const LinearLayer& layer) {
  const LoraSlots& lora = *layer.lora;
  const Tensor a_RI = lora.a_RI->Materialise(at::kFloat), b_OR = lora.b_OR->Materialise(at::kFloat);
  const auto scale = static_cast<float>(lora.scale);
  const std::vector<Tensor> products =
      Compute(std::vector<FusedGemm>{{.terms = {{a_RI, layer.weight_OI, {}, true}}},  // A W^T.
                                     {.terms = {{a_RI, nullptr, a_RI, true}}}});
  const Tensor both_O = (b_OR * products[0].t()).sum(1);
  const Tensor own_O = (Compute({.terms = {{b_OR, nullptr, products[1], false}}}) * b_OR).sum(1);
  const Tensor squares_O = lora.weight_squares_O + both_O * (2 * scale) + own_O * (scale * scale);
  // A row of zeros has no direction that a magnitude could stretch.
  return squares_O.clamp_min(1e-30).sqrt().reciprocal();
}

Tensor MagnitudeFactor(const LinearLayer& layer, const Tensor& inverse_O) {
  return layer.lora->magnitude_O->Materialise(at::kFloat) * inverse_O;
}

Tensor Magnified(const LinearLayer& layer, const Tensor& plain_NO, const Tensor& inverse_O,
                 const Tensor& start_NO) {
  Tensor y_NO = plain_NO * MagnitudeFactor(layer, inverse_O);
  if (layer.bias_O != nullptr) y_NO.add_(layer.bias_O->Materialise(at::kFloat));
  if (start_NO.defined()) y_NO.add_(start_NO);
  return y_NO;
}

}  // namespace ft::ops
