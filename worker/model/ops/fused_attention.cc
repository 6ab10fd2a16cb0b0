#include "worker/model/ops/fused_attention.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/check.h"
#include "worker/device/staging.h"
#include "worker/model/ops/saved_attention.h"
#include "worker/model/ops/saved_context.h"

namespace ft::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kHeadMultiple = 8;
constexpr int kCausalFromTheLastKey =
    2;  // LibTorch's number of the mask in which the last query sees all keys.

struct Rows {
  Tensor q_NHD, k_MKD, v_MKD;
};

struct Gradients {
  Tensor dq_NHD, dk_MKD, dv_MKD;
};

SavedAttention FlashForward(const Rows& rows, const AttentionShape& shape) {
  const SegmentBounds& bounds = *shape.bounds;
  auto [out_NHD, lse, state, unused, mask] = at::_flash_attention_forward(
      rows.q_NHD, rows.k_MKD, rows.v_MKD, bounds.query_ends, bounds.key_ends, bounds.longest_queries,
      bounds.longest_keys,
      /*dropout_p=*/0.0, /*is_causal=*/true, /*return_debug_mask=*/false, std::optional<double>(shape.scale));
  return {out_NHD, lse};
}

Gradients FlashBackward(const Rows& rows, const AttentionShape& shape, const SavedAttention& saved,
                        const Tensor& dout_NHD) {
  const SegmentBounds& bounds = *shape.bounds;
  const Tensor no_dropout = torch::empty({2}, rows.q_NHD.options().dtype(at::kUInt64));
  auto [dq, dk, dv] = at::_flash_attention_backward(
      dout_NHD, rows.q_NHD, rows.k_MKD, rows.v_MKD, saved.out_NHD, saved.lse, bounds.query_ends,
      bounds.key_ends, bounds.longest_queries, bounds.longest_keys, /*dropout_p=*/0.0, /*is_causal=*/true,
      no_dropout, no_dropout, std::optional<double>(shape.scale));
  return {dq, dk, dv};
}

// A key head for each query head, as one batch: 1 x M x H x D.
Tensor PerQueryHead(const Tensor& keys_MKD, int64_t heads) {
  const int64_t rows = keys_MKD.size(0), key_heads = keys_MKD.size(1), size = keys_MKD.size(2);
  return keys_MKD.unsqueeze(2)
      .expand({rows, key_heads, heads / key_heads, size})
      .reshape({1, rows, heads, size});
}

// The gradients of query heads that share a key head, added in order.
Tensor SumGroups(const Tensor& gradient_1MHD, int64_t key_heads) {
  const int64_t rows = gradient_1MHD.size(1), groups = gradient_1MHD.size(2) / key_heads;
  const Tensor parts_MKGD = gradient_1MHD.view({rows, key_heads, groups, gradient_1MHD.size(3)});
  Tensor sum_MKD = parts_MKGD.select(2, 0).contiguous();
  for (int64_t g = 1; g < groups; ++g) sum_MKD.add_(parts_MKGD.select(2, g));
  return sum_MKD;
}

SavedAttention EfficientForward(const Rows& rows, const AttentionShape& shape) {
  const SegmentBounds& bounds = *shape.bounds;
  const int64_t heads = rows.q_NHD.size(1);
  auto [out, lse, seed, offset, queries, keys] = at::_efficient_attention_forward(
      rows.q_NHD.unsqueeze(0), PerQueryHead(rows.k_MKD, heads), PerQueryHead(rows.v_MKD, heads), /*bias=*/{},
      bounds.query_ends, bounds.key_ends, bounds.longest_queries, bounds.longest_keys, /*dropout_p=*/0.0,
      kCausalFromTheLastKey, /*compute_log_sumexp=*/true, shape.scale);
  return {out[0], lse};
}

Gradients EfficientBackward(const Rows& rows, const AttentionShape& shape, const SavedAttention& saved,
                            const Tensor& dout_NHD) {
  const SegmentBounds& bounds = *shape.bounds;
  const int64_t heads = rows.q_NHD.size(1), key_heads = rows.k_MKD.size(1);
  const Tensor no_dropout = torch::empty({}, at::TensorOptions(at::kLong));
  auto [dq, dk, dv, dbias] = at::_efficient_attention_backward(
      dout_NHD.unsqueeze(0), rows.q_NHD.unsqueeze(0), PerQueryHead(rows.k_MKD, heads),
      PerQueryHead(rows.v_MKD, heads),
      /*bias=*/{}, saved.out_NHD.unsqueeze(0), bounds.query_ends, bounds.key_ends, bounds.longest_queries,
      bounds.longest_keys, saved.lse, /*dropout_p=*/0.0, no_dropout, no_dropout, kCausalFromTheLastKey,
      /*bias_requires_grad=*/false, shape.scale, /*num_splits_key=*/1);
  return {dq[0], SumGroups(dk, key_heads), SumGroups(dv, key_heads)};
}

struct FusedAttentionFunction : torch::autograd::Function<FusedAttentionFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& q_NHD, const Tensor& k_MKD,
                        const Tensor& v_MKD, AttentionShape shape, SavedAttention* saved) {
    const SavedAttention result = TakeOrCompute(saved, [&] {
      const auto forward = IsFloat(q_NHD) ? EfficientForward : FlashForward;
      return forward({q_NHD, k_MKD, v_MKD}, shape);
    });
    context->save_for_backward({q_NHD, k_MKD, v_MKD, result.out_NHD, result.lse});
    SaveInContext(context, std::move(shape));
    return result.out_NHD;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const Rows rows{saved[0], saved[1], saved[2]};
    const auto& shape = SavedInContext<AttentionShape>(context);
    const Tensor dout_NHD = gradients[0].contiguous();
    const auto backward = IsFloat(dout_NHD) ? EfficientBackward : FlashBackward;
    const Gradients result = backward(rows, shape, {saved[3], saved[4]}, dout_NHD);
    return {result.dq_NHD, result.dk_MKD, result.dv_MKD, Tensor(), Tensor()};
  }

 private:
  static bool IsFloat(const Tensor& tensor) { return tensor.scalar_type() == at::kFloat; }
};

}  // namespace

std::shared_ptr<const SegmentBounds> MakeSegmentBounds(const std::vector<AttentionSegment>& segments,
                                                       at::Device device) {
  SegmentBounds bounds;
  std::vector<int32_t> query_ends = {0}, key_ends = {0};
  for (const AttentionSegment& segment : segments) {
    FT_CHECK(segment.first_query == query_ends.back() && segment.first_key == key_ends.back())
        << "segments must lie end to end";
    query_ends.push_back(static_cast<int32_t>(segment.first_query + segment.queries));
    key_ends.push_back(static_cast<int32_t>(segment.first_key + segment.keys));
    bounds.longest_queries = std::max(bounds.longest_queries, segment.queries);
    bounds.longest_keys = std::max(bounds.longest_keys, segment.keys);
  }
  bounds.query_ends = device::Upload(torch::tensor(query_ends, torch::kInt32), device);
  bounds.key_ends = device::Upload(torch::tensor(key_ends, torch::kInt32), device);
  return std::make_shared<const SegmentBounds>(std::move(bounds));
}

Tensor FusedAttention(const Tensor& q_NHD, const Tensor& k_MKD, const Tensor& v_MKD,
                      const AttentionShape& shape, SavedAttention* saved) {
  FT_CHECK(shape.bounds != nullptr);
  const int64_t size = q_NHD.size(2), padding = (kHeadMultiple - size % kHeadMultiple) % kHeadMultiple;
  const auto padded = [&](const Tensor& rows) {
    return padding == 0 ? rows.contiguous() : at::constant_pad_nd(rows, {0, padding});
  };
  const Tensor out_NHD =
      FusedAttentionFunction::apply(padded(q_NHD), padded(k_MKD), padded(v_MKD), shape, saved);
  return padding == 0 ? out_NHD : out_NHD.narrow(2, 0, size).contiguous();
}

}  // namespace ft::ops
