#include "kernels/philox/philox.h"

namespace ft::kernels {

template <typename T>
void Dropout(const DropoutShape& shape, int64_t first, int64_t last, const T* x, T* y) {
  const uint32_t threshold = static_cast<uint32_t>(static_cast<double>(shape.probability) * 4294967296.0);
  const float factor = 1.0f / (1.0f - shape.probability);
  const uint32_t place = shape.layer << 20 | shape.site << 16;
  for (int64_t row = first; row < last; ++row) {
    const uint64_t sample = shape.sample[row];
    const T* in = x + row * shape.channels;
    T* out = y + row * shape.channels;
    PhiloxBlock counter{{0, static_cast<uint32_t>(shape.position[row]), static_cast<uint32_t>(sample),
                         static_cast<uint32_t>(sample >> 32)}};
    for (int64_t base = 0; base < shape.channels; base += 4) {
      counter.word[0] = place | static_cast<uint32_t>(base / 4);
      const PhiloxBlock random = Philox(shape.key, counter);
      const int64_t count = shape.channels - base < 4 ? shape.channels - base : 4;
      for (int64_t i = 0; i < count; ++i) {
        out[base + i] = FromFloat<T>(random.word[i] >= threshold ? ToFloat(in[base + i]) * factor : 0.0f);
      }
    }
  }
}

template void Dropout<float>(const DropoutShape&, int64_t, int64_t, const float*, float*);
template void Dropout<BF16>(const DropoutShape&, int64_t, int64_t, const BF16*, BF16*);

}  // namespace ft::kernels
