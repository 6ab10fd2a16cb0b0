#include "worker/model/weights/mxfp4.h"

#include <cmath>

#include "core/base/check.h"

namespace ft::weights {
namespace {

constexpr float kValues[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                               -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
constexpr int kExponentBias = 127;
constexpr size_t kGroupBytes = kMxfp4Group / 2;

}  // namespace

void DequantiseMxfp4(std::span<const std::byte> blocks, std::span<const std::byte> scales,
                     std::span<float> out) {
  FT_CHECK(blocks.size() == scales.size() * kGroupBytes && out.size() == blocks.size() * 2) << out.size();
  for (size_t group = 0; group < scales.size(); ++group) {
    const int exponent = std::to_integer<int>(scales[group]) - kExponentBias;
    for (size_t i = group * kGroupBytes; i < (group + 1) * kGroupBytes; ++i) {
      const auto byte = std::to_integer<unsigned>(blocks[i]);
      out[2 * i] = std::ldexp(kValues[byte & 15], exponent);
      out[2 * i + 1] = std::ldexp(kValues[byte >> 4], exponent);
    }
  }
}

}  // namespace ft::weights
