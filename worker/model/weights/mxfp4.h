// MXFP4 (OCP Microscaling Formats, 2023): 4-bit floats in groups of 32 that share a power of two. Experts are stored so, as a tensor of
// blocks, "<name>_blocks" [experts, rows, inputs / 32, 16] bytes, and one of scales, "<name>_scales" [experts, rows, inputs / 32].
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace ft::weights {

inline constexpr int64_t kMxfp4Group = 32;
inline constexpr std::string_view kMxfp4Blocks = "_blocks", kMxfp4Scales = "_scales";

// Sixteen bytes of `blocks` for each byte of `scales` become 32 values, exactly, the low half of a byte first. REQUIRES: sizes agree.
void DequantiseMxfp4(std::span<const std::byte> blocks, std::span<const std::byte> scales,
                     std::span<float> out);

}  // namespace ft::weights
