#include "worker/model/ops/random.h"

#include "kernels/philox/philox.h"
#include "worker/model/ops/kernel_call.h"

namespace ft::ops {
namespace {

kernels::PhiloxBlock Draw(uint64_t seed, uint64_t stream, uint64_t index) {
  return kernels::Philox(seed, {{static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                                 static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)}});
}

}  // namespace

void FillUniform(uint64_t seed, uint64_t stream, float bound, torch::Tensor& out) {
  float* values = MutableData<float>(out);
  const int64_t count = out.numel();
  for (int64_t i = 0; i < count; i += 4) {
    const kernels::PhiloxBlock random = Draw(seed, stream, static_cast<uint64_t>(i / 4));
    for (int64_t j = 0; j < 4 && i + j < count; ++j) {
      const float unit = static_cast<float>(random.word[j] >> 8) * 0x1p-24f;  // [0, 1), exact.
      values[i + j] = (2 * unit - 1) * bound;
    }
  }
}

double UniformDraw(uint64_t seed, uint64_t stream, uint64_t index) {
  const kernels::PhiloxBlock random = Draw(seed, stream, index);
  const uint64_t bits = uint64_t{random.word[0]} << 32 | random.word[1];
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace ft::ops
