#include "kernels/rope/rope.h"

namespace ft::kernels {

template <typename T>
void Rope(const RopeShape& shape, int64_t first, int64_t last, const float* cosine, const float* sine,
          float direction, const T* x, T* y) {
  const int64_t half = shape.head_size / 2;
  for (int64_t row = first; row < last; ++row) {
    const float* row_cosine = cosine + row * half;
    const float* row_sine = sine + row * half;
    for (int64_t head = 0; head < shape.heads; ++head) {
      const int64_t base = (row * shape.heads + head) * shape.head_size;
      for (int64_t i = 0; i < half; ++i) {
        const float a = ToFloat(x[base + i]);
        const float b = ToFloat(x[base + half + i]);
        const float s = direction * row_sine[i];
        y[base + i] = FromFloat<T>(a * row_cosine[i] - b * s);
        y[base + half + i] = FromFloat<T>(b * row_cosine[i] + a * s);
      }
    }
  }
}

template void Rope<float>(const RopeShape&, int64_t, int64_t, const float*, const float*, float, const float*,
                          float*);
template void Rope<BF16>(const RopeShape&, int64_t, int64_t, const float*, const float*, float, const BF16*,
                         BF16*);

}  // namespace ft::kernels
