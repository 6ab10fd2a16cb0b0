#include "worker/model/ops/plain_attention.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "worker/device/staging.h"
#include "worker/model/ops/saved_context.h"

namespace ft::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Heads first, in float32, a key head repeated for the query heads that share it.
Tensor HeadsFirst(const Tensor& rows_NHD, int64_t heads) {
  const int64_t groups = heads / rows_NHD.size(1);
  const Tensor rows = rows_NHD.to(at::kFloat).transpose(0, 1);
  return groups == 1 ? rows : rows.repeat_interleave(groups, 0, heads);
}

// What scores of a segment lose: the slopes times the distance, and everything where a query may not look. [H or 1, queries, keys].
Tensor ScoreLoss(const AttentionSegment& segment, const AttentionShape& shape, at::Device device) {
  const at::TensorOptions options = at::TensorOptions(device).dtype(at::kFloat);
  const Tensor query = torch::arange(segment.keys - segment.queries, segment.keys, options).unsqueeze(1);
  const Tensor distance = (query - torch::arange(segment.keys, options)).unsqueeze(0);
  Tensor hidden = distance < 0;
  if (shape.window > 0) hidden = hidden.logical_or_(distance >= static_cast<double>(shape.window));
  Tensor loss = torch::zeros({}, options);
  if (shape.slopes != nullptr)
    loss = distance * device::Upload(torch::tensor(*shape.slopes, torch::kFloat), device).view({-1, 1, 1});
  return at::where(hidden, torch::full({}, std::numeric_limits<float>::infinity(), options), loss);
}

Tensor SegmentAttention(const Tensor& q_NHD, const Tensor& k_MKD, const Tensor& v_MKD, const Tensor& sinks_H,
                        const AttentionSegment& segment, const AttentionShape& shape) {
  const int64_t heads = q_NHD.size(1);
  const Tensor q = HeadsFirst(q_NHD.narrow(0, segment.first_query, segment.queries), heads);
  const Tensor k = HeadsFirst(k_MKD.narrow(0, segment.first_key, segment.keys), heads);
  const Tensor v = HeadsFirst(v_MKD.narrow(0, segment.first_key, segment.keys), heads);
  Tensor scores = at::bmm(q, k.transpose(1, 2)) * shape.scale;
  if (shape.cap > 0) scores = at::tanh(scores / shape.cap) * shape.cap;
  scores = scores - ScoreLoss(segment, shape, q_NHD.device());
  if (shape.sinks_H != nullptr)
    scores = at::cat({scores, sinks_H.view({-1, 1, 1}).expand({heads, segment.queries, 1})}, -1);
  const Tensor p = at::softmax(scores, -1).narrow(-1, 0, segment.keys);
  return at::bmm(p, v).transpose(0, 1).to(q_NHD.scalar_type());
}

// Of queries, keys, values, and sinks.
Tensor AllSegments(const variable_list& qkvs, const AttentionShape& shape) {
  std::vector<Tensor> parts;
  for (const AttentionSegment& segment : *shape.segments)
    parts.push_back(SegmentAttention(qkvs[0], qkvs[1], qkvs[2], qkvs[3], segment, shape));
  return at::cat(parts);
}

Tensor Sinks(const AttentionShape& shape) {
  return shape.sinks_H == nullptr ? torch::empty({0}) : shape.sinks_H->Materialise(at::kFloat);
}

struct PlainAttentionFunction : torch::autograd::Function<PlainAttentionFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& q_NHD, const Tensor& k_MKD,
                        const Tensor& v_MKD, const Tensor& /*sinks' handle*/, AttentionShape shape) {
    context->save_for_backward({q_NHD, k_MKD, v_MKD});
    const Tensor out_NHD = AllSegments({q_NHD, k_MKD, v_MKD, Sinks(shape)}, shape);
    SaveInContext(context, std::move(shape));
    return out_NHD;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const torch::AutoGradMode graph(true);
    const auto& shape = SavedInContext<AttentionShape>(context);
    variable_list qkvs;
    for (const Tensor& saved : context->get_saved_variables())
      qkvs.push_back(saved.detach().requires_grad_());
    qkvs.push_back(Sinks(shape).detach().requires_grad_());
    const Tensor out_NHD = AllSegments(qkvs, shape);
    variable_list result =
        torch::autograd::grad({out_NHD}, qkvs, {gradients[0]}, std::nullopt, /*create_graph=*/false,
                              /*allow_unused=*/shape.sinks_H == nullptr);
    if (!context->needs_input_grad(3)) result[3] = Tensor();
    result.emplace_back();
    return result;
  }
};

}  // namespace

Tensor SinkHandle(const AttentionShape& shape) {
  return shape.sinks_H == nullptr ? torch::empty({0}) : shape.sinks_H->handle();
}

bool NeedsPlainAttention(const AttentionShape& shape) {
  if (shape.cap > 0 || shape.slopes != nullptr || shape.sinks_H != nullptr) return true;
  return shape.window > 0 &&
         std::any_of(shape.segments->begin(), shape.segments->end(),
                     [&](const AttentionSegment& segment) { return segment.keys > shape.window; });
}

Tensor PlainAttention(const Tensor& q_NHD, const Tensor& k_MKD, const Tensor& v_MKD,
                      const AttentionShape& shape) {
  return PlainAttentionFunction::apply(q_NHD, k_MKD, v_MKD, SinkHandle(shape), shape);
}

}  // namespace ft::ops
