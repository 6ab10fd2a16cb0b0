// y = silu(gate) * up with silu(g) = g / (1 + exp(-g)) (Shazeer, arXiv 2002.05202), value by value. Computed
// in float32, rounded to T once. The inline functions are the definition, for host and device; the array
// functions are SIMD with an exponential of their own, within 4 units in the last place of it. Thread-safe.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/number/bf16.h"

namespace ft::kernels {

FT_HOST_DEVICE inline float Sigmoid(float value) { return 1.0f / (1.0f + expf(-value)); }

FT_HOST_DEVICE inline float SwigluValue(float gate, float up) { return gate * Sigmoid(gate) * up; }

struct SwigluGradient {
  float dgate, dup;
};
FT_HOST_DEVICE inline SwigluGradient SwigluBackwardValue(float gate, float up, float dy) {
  const float sigmoid = Sigmoid(gate);
  return {dy * up * sigmoid * (1.0f + gate * (1.0f - sigmoid)), dy * gate * sigmoid};
}

// Values [0, count). y may be gate or up.
template <typename T>
void SwigluForward(int64_t count, const T* gate, const T* up, T* y);

// Outputs of a forward pass over float32 inputs, each rounded once.
struct SwigluRounded {
  BF16* y = nullptr;
  // The inputs, which backward reads; null where nothing is saved.
  BF16* gate = nullptr;
  BF16* up = nullptr;

  // The outputs from value i on.
  FT_HOST_DEVICE SwigluRounded From(int64_t i) const {
    return {y + i, gate == nullptr ? nullptr : gate + i, up == nullptr ? nullptr : up + i};
  }
};
void SwigluForwardRounded(int64_t count, const float* gate, const float* up, const SwigluRounded& out);

template <typename T>
struct SwigluIn {
  const T* gate = nullptr;
  const T* up = nullptr;
  const T* dy = nullptr;
};
// dgate and dup from dy; each may be any of the inputs.
template <typename T>
void SwigluBackward(int64_t count, const SwigluIn<T>& in, T* dgate, T* dup);

}  // namespace ft::kernels
