// The array functions of kernels/ over the bodies' pointers, rows divided among the rank's threads.
#include <algorithm>
#include <array>
#include <memory>

#include "core/base/sha256.h"
#include "kernels/sha256/sha256_lanes.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/kernel_table.h"
#include "worker/model/ops/micro_gemm.h"

namespace ft::ops {
namespace {

// The cost of one value of the gate in values of a norm: an exponential and a division.
constexpr int64_t kGateWork = 4;
// The same of a weight whose two moments are looked up in a map.
constexpr int64_t kCodeWork = 16;

template <typename T>
int Nf4Dequantise(const kernels::Nf4DequantiseBody<T>& body, void*) {
  const int64_t count = body.count(), blocks = kernels::Nf4Blocks(count);
  std::unique_ptr<float[]> restored;
  if (body.maxima.absmax == nullptr) {
    restored = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(blocks));
    OverRows(blocks, 4, [&](int64_t first, int64_t last) {
      kernels::NestedDequantise(body.maxima.nested, first, last, restored.get() + first);
    });
  }
  const float* absmax = restored == nullptr ? body.maxima.absmax : restored.get();
  if (body.stride == body.columns) {
    OverRows(blocks, kernels::kNf4Block, [&](int64_t first, int64_t last) {
      kernels::Nf4Dequantise<T>(body.packed, absmax, count, first, last, body.out);
    });
    return 0;
  }
  OverRows(body.rows, body.columns, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      kernels::Nf4DequantiseRange<T>(body.packed, absmax, row * body.columns, body.columns,
                                     body.out + row * body.stride);
    }
  });
  return 0;
}

template <typename T>
int Dropout(const kernels::DropoutBody<T>& body, void*) {
  const int64_t gap = body.XStride() - body.shape.channels;
  OverRows(body.rows, body.shape.channels * 4, [&](int64_t first, int64_t last) {
    if (gap == 0) return kernels::Dropout<T>(body.shape, first, last, body.x, body.y);
    for (int64_t row = first; row < last; ++row)
      kernels::Dropout<T>(body.shape, row, row + 1, body.x + row * gap, body.y);
  });
  return 0;
}

template <typename T>
int Rope(const kernels::RopeBody<T>& body, void*) {
  OverRows(body.rows, body.Heads() * body.shape.head_size, [&](int64_t first, int64_t last) {
    kernels::Rope(body.shape, body.angles, body.queries, first, last);
    kernels::Rope(body.shape, body.angles, body.keys, first, last);
  });
  return 0;
}

template <typename T>
int RmsNormForward(const kernels::RmsNormForwardBody<T>& body, void*) {
  const int64_t gap = body.YStride() - body.shape.channels;
  OverRows(body.rows, body.shape.channels, [&](int64_t first, int64_t last) {
    if (gap == 0)
      return kernels::RmsNormForward<T>(body.shape, first, last, body.x, body.weight, body.y, body.scale);
    for (int64_t row = first; row < last; ++row) {
      kernels::RmsNormForward<T>(body.shape, row, row + 1, body.x, body.weight, body.y + row * gap,
                                 body.scale);
    }
  });
  return 0;
}

template <typename T>
int RmsNormBackward(const kernels::RmsNormBackwardBody<T>& body, void*) {
  OverRows(body.rows, body.shape.channels, [&](int64_t first, int64_t last) {
    kernels::RmsNormBackward<T>(body.shape, first, last, body.in, body.dx);
  });
  return 0;
}

template <typename T>
int RmsNormWeightGradient(const kernels::RmsNormWeightGradientBody<T>& body, void*) {
  OverRows(body.shape.channels, body.rows, [&](int64_t first, int64_t last) {
    kernels::RmsNormWeightGradient<T>(body.shape, body.rows, first, last, body.in, body.dweight);
  });
  return 0;
}

template <typename T>
int ColumnSum(const kernels::ColumnSumBody<T>& body, void*) {
  OverRows(body.channels, body.rows, [&](int64_t first, int64_t last) {
    kernels::ColumnSum<T>(body.rows, body.channels, first, last, body.values, body.out);
  });
  return 0;
}

template <typename T>
int SwigluForward(const kernels::SwigluForwardBody<T>& body, void*) {
  OverRows(body.count, kGateWork, [&](int64_t first, int64_t last) {
    kernels::SwigluForward<T>(last - first, body.gate + first, body.up + first, body.y + first);
  });
  return 0;
}

int SwigluForwardRounded(const kernels::SwigluForwardRoundedBody& body, void*) {
  if (body.IsDense()) {
    OverRows(body.rows * body.columns, kGateWork, [&](int64_t first, int64_t last) {
      kernels::SwigluForwardRounded(last - first, body.gate + first, body.up + first, body.out.From(first));
    });
    return 0;
  }
  OverRows(body.rows, body.columns * kGateWork, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t in = row * body.InStride();
      kernels::SwigluForwardRounded(body.columns, body.gate + in, body.up + in, body.OutOf(row));
    }
  });
  return 0;
}

template <typename T>
int SwigluBackward(const kernels::SwigluBackwardBody<T>& body, void*) {
  OverRows(body.count, kGateWork, [&](int64_t first, int64_t last) {
    kernels::SwigluBackward<T>(last - first, {body.in.gate + first, body.in.up + first, body.in.dy + first},
                               body.dgate + first, body.dup + first);
  });
  return 0;
}

template <typename T>
int CrossEntropy(const kernels::CrossEntropyBody<T>& body, void*) {
  OverRows(body.rows, body.shape.vocabulary, [&](int64_t first, int64_t last) {
    kernels::CrossEntropyRows<T>(body.shape, first, last, body.targets, body.logits, body.loss);
  });
  return 0;
}

int Nf4Quantise(const kernels::Nf4QuantiseBody& body, void*) {
  OverRows(kernels::Nf4Blocks(body.count), kernels::kNf4Block * 16, [&](int64_t first, int64_t last) {
    kernels::Nf4Quantise(body.values, body.count, first, last, body.packed, body.absmax);
  });
  return 0;
}

int NestedDequantise(const kernels::NestedDequantiseBody& body, void*) {
  OverRows(body.blocks, 4, [&](int64_t first, int64_t last) {
    kernels::NestedDequantise(body.in, first, last, body.out + first);
  });
  return 0;
}

int SumsOfSquares(const kernels::SumsOfSquaresBody& body, void*) {
  OverRows(kernels::SquaresBlocks(body.count), kernels::kSquaresBlock, [&](int64_t first, int64_t last) {
    kernels::SumsOfSquares(body.values, body.count, first, last, body.sums);
  });
  return 0;
}

void HashAlone(const kernels::Sha256Body& body, int64_t i) {
  const kernels::Leaf& leaf = body.leaves[i];
  const Digest digest =
      Sha256Of({reinterpret_cast<const char*>(body.bytes) + leaf.begin, static_cast<size_t>(leaf.bytes)});
  std::copy(digest.begin(), digest.end(), body.digests + kernels::kDigestBytes * i);
}

using LeafGroup = std::array<int64_t, kernels::kSha256Lanes>;

// Whole leaves.
void HashTogether(const kernels::Sha256Body& body, const LeafGroup& leaves) {
  std::array<const uint8_t*, kernels::kSha256Lanes> pieces;
  std::array<uint8_t, kernels::kSha256Lanes * kernels::kDigestBytes> digests;
  for (size_t lane = 0; lane < leaves.size(); ++lane)
    pieces[lane] = body.bytes + body.leaves[leaves[lane]].begin;
  kernels::Sha256OfLanes(pieces.data(), kernels::kLeafBytes, digests.data());
  for (size_t lane = 0; lane < leaves.size(); ++lane) {
    std::copy_n(digests.data() + kernels::kDigestBytes * lane, kernels::kDigestBytes,
                body.digests + kernels::kDigestBytes * leaves[lane]);
  }
}

int Sha256Leaves(const kernels::Sha256Body& body, void*) {
  const bool has_lanes = kernels::HasSha256Lanes();
  OverRows(body.count, kernels::kLeafBytes, [&](int64_t first, int64_t last) {
    LeafGroup group;
    size_t waiting = 0;
    for (int64_t i = first; i < last; ++i) {
      if (!has_lanes || body.leaves[i].bytes != kernels::kLeafBytes) {
        HashAlone(body, i);
        continue;
      }
      group[waiting++] = i;
      if (waiting == group.size()) {
        HashTogether(body, group);
        waiting = 0;
      }
    }
    for (size_t lane = 0; lane < waiting; ++lane) HashAlone(body, group[lane]);
  });
  return 0;
}

int TreeAdd(const kernels::TreeAddBody& body, void*) {
  OverRows(body.columns, body.count, [&](int64_t first, int64_t last) {
    kernels::TreeAdd(body.rows, body.count, body.columns, first, last, body.sum);
  });
  return 0;
}

int AdamW8bit(const kernels::AdamW8bitBody& body, void*) {
  const int64_t work = kernels::kAdamW8bitBlock * kCodeWork;
  OverRows(body.Blocks(), work,
           [&](int64_t first, int64_t last) { kernels::AdamW8bit(body.step, body.arrays, first, last); });
  return 0;
}

template <typename T>
constexpr KernelsOf<T> kKernelsOf{.nf4_dequantise = Nf4Dequantise<T>,
                                  .dropout = Dropout<T>,
                                  .rope = Rope<T>,
                                  .rms_norm_forward = RmsNormForward<T>,
                                  .rms_norm_backward = RmsNormBackward<T>,
                                  .rms_norm_weight_gradient = RmsNormWeightGradient<T>,
                                  .column_sum = ColumnSum<T>,
                                  .swiglu_forward = SwigluForward<T>,
                                  .swiglu_backward = SwigluBackward<T>,
                                  .cross_entropy = CrossEntropy<T>};

}  // namespace

const KernelTable& CpuKernels() {
  static constexpr KernelTable kTable{.f32 = kKernelsOf<float>,
                                      .bf16 = kKernelsOf<kernels::BF16>,
                                      .nf4_quantise = Nf4Quantise,
                                      .nested_dequantise = NestedDequantise,
                                      .swiglu_forward_rounded = SwigluForwardRounded,
                                      .sums_of_squares = SumsOfSquares,
                                      .sha256 = Sha256Leaves,
                                      .tree_add = TreeAdd,
                                      .adamw_8bit = AdamW8bit,
                                      .current_stream = +[]() -> void* { return nullptr; },
                                      .multiplies_bf16 = MultipliesBf16,
                                      .error_text = +[](int) { return "none"; }};
  return kTable;
}

}  // namespace ft::ops
