#include "worker/model/ops/epilogue.h"

#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/kernel_table.h"

namespace ft::ops {
namespace {

using kernels::BF16;
using torch::Tensor;

// The cost of one value of the gate in values of a norm: an exponential and a division.
constexpr int64_t kGateWork = 4;

Tensor Rotate(const Tensor& x_NHD, const RopeTable& table, float direction) {
  const Tensor x = x_NHD.contiguous();
  Tensor y = torch::empty_like(x);
  WithType(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    Launch(x, &KernelsOf<T>::rope,
           {{x.size(1), x.size(2)},
            x.size(0),
            Data<float>(table.cosine_NP),
            Data<float>(table.sine_NP),
            direction,
            Data<T>(x),
            MutableData<T>(y)});
  });
  return y;
}

Tensor Gate(const Tensor& gate, const Tensor& up) {
  Tensor y = torch::empty_like(gate);
  Launch(gate, &KernelsOf<float>::swiglu_forward,
         {gate.numel(), Data<float>(gate), Data<float>(up), MutableData<float>(y)});
  return y;
}

// The gate in bfloat16, and in the same pass its inputs, where they are saved.
Tensor RoundedGate(const Tensor& gate, const Tensor& up, std::vector<Tensor>* saved) {
  const auto make = [&] { return torch::empty_like(gate, gate.options().dtype(at::kBFloat16)); };
  Tensor y = make();
  kernels::SwigluRounded out{.y = MutableData<BF16>(y)};
  if (saved != nullptr) {
    saved->push_back(make());
    out.gate = MutableData<BF16>(saved->back());
    saved->push_back(make());
    out.up = MutableData<BF16>(saved->back());
  }
  OverRows(gate.numel(), kGateWork, [&](int64_t first, int64_t last) {
    kernels::SwigluForwardRounded(last - first, Data<float>(gate) + first, Data<float>(up) + first,
                                  out.From(first));
  });
  return y;
}

}  // namespace

std::vector<Tensor> RotaryEpilogue::Forward(const std::vector<Tensor>& y_NO, at::ScalarType type,
                                            std::vector<Tensor>*) const {
  FT_CHECK(y_NO.size() == layers_.size());
  std::vector<Tensor> results;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const int64_t rows = y_NO[i].size(0), heads = layers_[i].heads;
    const Tensor y_NHD = y_NO[i].view({rows, heads, y_NO[i].size(1) / heads});
    // Rotated in float32, then rounded: one rounding, where rotating the rounded product would make two.
    results.push_back((layers_[i].rotated ? Rotate(y_NHD, table_, 1) : y_NHD).to(type));
  }
  return results;
}

std::vector<Tensor> RotaryEpilogue::Backward(const std::vector<Tensor>& gradients,
                                             const std::vector<Tensor>&) const {
  std::vector<Tensor> results;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Tensor dy_NHD = layers_[i].rotated ? Rotate(gradients[i], table_, -1) : gradients[i];
    results.push_back(dy_NHD.reshape({dy_NHD.size(0), dy_NHD.size(1) * dy_NHD.size(2)}));
  }
  return results;
}

std::vector<Tensor> GateEpilogue::Forward(const std::vector<Tensor>& y_NO, at::ScalarType type,
                                          std::vector<Tensor>* saved) const {
  FT_CHECK(y_NO.size() == 2);
  const Tensor &gate = y_NO[0], &up = y_NO[1];
  if (type == at::kBFloat16 && gate.is_cpu()) return {RoundedGate(gate, up, saved)};
  // Backward reads rounded inputs, the gate itself is computed from the float32 sums: it is rounded once.
  if (saved != nullptr) saved->insert(saved->end(), {gate.to(type), up.to(type)});
  return {Gate(gate, up).to(type)};
}

std::vector<Tensor> GateEpilogue::Backward(const std::vector<Tensor>& gradients,
                                           const std::vector<Tensor>& saved) const {
  const Tensor &gate = saved[0], &up = saved[1];
  const Tensor dy = gradients[0].contiguous();
  Tensor dgate = torch::empty_like(gate), dup = torch::empty_like(up);
  WithType(gate.scalar_type(), [&](auto type) {
    using T = decltype(type);
    Launch(gate, &KernelsOf<T>::swiglu_backward,
           {gate.numel(),
            {Data<T>(gate), Data<T>(up), Data<T>(dy)},
            MutableData<T>(dgate),
            MutableData<T>(dup)});
  });
  return {dgate, dup};
}

}  // namespace ft::ops
