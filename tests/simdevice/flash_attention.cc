// aten::_flash_attention_forward and _backward over segments of variable length: attention_math.h, with the demands of LibTorch's kernels
// (aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp, mha_varlen_fwd and mha_varlen_bwd) on a card from sm_80 on, their
// layout of results, and the buffers that they allocate. Not emulated, and refused: dense batches, dropout, windows, paged keys.
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/simdevice/attention_math.h"
#include "tests/simdevice/current.h"
#include "tests/simdevice/host_view.h"

namespace ft::simdevice {
namespace {

using at::Tensor;
using torch::jit::Stack;

int64_t RoundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

void CheckRows(const Tensor& rows, const char* name, const Tensor& like) {
  TORCH_CHECK(rows.device() == like.device(), name, ": Input tensor must be on CUDA device ", like.device());
  TORCH_CHECK(rows.dim() == 3, name, " must have shape (total, num_heads, head_size)");
  TORCH_CHECK(rows.scalar_type() == like.scalar_type(), "query and ", name, " must have the same dtype");
  TORCH_CHECK(rows.stride(-1) == 1, name, ": Input tensor must have contiguous last dimension");
  TORCH_CHECK(rows.size(2) == like.size(2), name, " must have the head size of query");
}

void CheckEnds(const Tensor& ends, const char* name, const Tensor& like) {
  TORCH_CHECK(ends.scalar_type() == at::kInt, name, " must have dtype int32");
  TORCH_CHECK(ends.device() == like.device(), name, ": Input tensor must be on CUDA device");
  TORCH_CHECK(ends.is_contiguous(), name, " must be contiguous");
}

// What both directions get, with what both demand.
struct FlashCall {
  Tensor q, k, v, query_ends, key_ends;
  int64_t longest_query = 0, longest_key = 0;
  double scale = 1;
  bool causal = false;

  int64_t batch() const { return query_ends.numel() - 1; }
  void Demand() const;
};

void FlashCall::Demand() const {
  TORCH_CHECK(q.scalar_type() == at::kHalf || q.scalar_type() == at::kBFloat16,
              "FlashAttention only support fp16 and bf16 data type");
  CheckRows(q, "query", q);
  CheckRows(k, "key", q);
  CheckRows(v, "value", q);
  CheckEnds(query_ends, "cu_seqlens_q", q);
  CheckEnds(key_ends, "cu_seqlens_k", q);
  TORCH_CHECK(batch() > 0, "batch size must be positive");
  TORCH_CHECK(key_ends.numel() == query_ends.numel(), "cu_seqlens_k must have shape (batch_size + 1)");
  TORCH_CHECK(v.sizes() == k.sizes(), "value must have the shape of key");
  TORCH_CHECK(q.size(2) <= 256, "FlashAttention only supports head dimension at most 256");
  TORCH_CHECK(q.size(2) % 8 == 0, "head_size must be a multiple of 8, this is ensured by padding!");
  TORCH_CHECK(q.size(1) % k.size(1) == 0,
              "Number of heads in key/value must divide number of heads in query");
}

void RefuseOptions(const c10::FunctionSchema& schema, const Stack& arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = schema.arguments()[i].name();
    const bool known = name.starts_with("cum_seq") || name == "scale";
    TORCH_CHECK_NOT_IMPLEMENTED(known || !schema.arguments()[i].kwarg_only() || arguments[i].isNone(),
                                schema.name(), ": ", name, " is not emulated");
  }
}

// The rows of a segment that the grid covers: `longest` sizes it, and nobody computes what lies beyond.
Segment Covered(Segment segment, const FlashCall& call) {
  segment.queries = std::min(segment.queries, call.longest_query);
  return segment;
}

// In work, everything through the host's eyes.
FlashCall OnHost(const FlashCall& call) {
  FlashCall host = call;
  for (Tensor* tensor : {&host.q, &host.k, &host.v, &host.query_ends, &host.key_ends})
    *tensor = HostView(*tensor);
  return host;
}

AttentionInputs InputsOf(const FlashCall& call) {
  return {call.q, call.k, call.v, call.scale, call.causal ? Mask::kCausalBottomRight : Mask::kNone};
}

// Aligned to the last key means that masked rows shift with the segment, so a covered part keeps its distance to the whole.
template <typename Each>
void ForSegments(const FlashCall& host, Each each) {
  for (const Segment& whole : SegmentsOf(host.query_ends, host.key_ends, host.q.size(0), host.k.size(0))) {
    Segment segment = Covered(whole, host);
    if (host.causal) segment.keys = std::max<int64_t>(0, whole.keys - (whole.queries - segment.queries));
    if (segment.queries > 0) each(segment);
  }
}

void ForwardWork(const FlashCall& host, const Tensor& out, const Tensor& lse) {
  const WorkScope scope;
  ForSegments(host, [&](const Segment& segment) {
    const AttentionForward result = Forward(InputsOf(host), segment);
    out.narrow(0, segment.first_query, segment.queries).copy_(result.out_NHD);
    lse.narrow(1, segment.first_query, segment.queries).copy_(result.lse_HN);
  });
}

void FlashForward(const c10::OperatorHandle& op, Stack* stack) {
  const size_t count = op.schema().arguments().size();
  const Stack arguments(stack->end() - static_cast<std::ptrdiff_t>(count), stack->end());
  RefuseOptions(op.schema(), arguments);
  TORCH_CHECK_NOT_IMPLEMENTED(arguments[3].isTensor() && arguments[4].isTensor(),
                              "flash: dense batches are not emulated");
  TORCH_CHECK_NOT_IMPLEMENTED(arguments[7].toDouble() == 0 && !arguments[9].toBool(),
                              "flash: dropout is not emulated");
  const Tensor q = arguments[0].toTensor();
  const double scale =
      arguments[10].isNone() ? 1 / std::sqrt(static_cast<double>(q.size(-1))) : arguments[10].toDouble();
  const FlashCall call{q,
                       arguments[1].toTensor(),
                       arguments[2].toTensor(),
                       arguments[3].toTensor(),
                       arguments[4].toTensor(),
                       arguments[5].toInt(),
                       arguments[6].toInt(),
                       scale,
                       arguments[8].toBool()};
  call.Demand();
  const Tensor out = at::empty_like(q),
               lse = at::empty({q.size(1), q.size(0)}, q.options().dtype(at::kFloat));
  const at::TensorOptions counters = q.options().dtype(at::kUInt64);
  torch::jit::drop(*stack, count);
  torch::jit::push(*stack, out, lse, at::empty({2}, counters), at::empty({}, counters),
                   at::empty({0}, q.options()));
  Device& device = DeviceOf(q);
  Check(device.Launch(CurrentStream(device), [host = OnHost(call), out = HostView(out), lse = HostView(lse)] {
    ForwardWork(host, out, lse);
  }));
}

struct FlashGradients {
  Tensor dq, dk, dv;
};

// Gradients of keys and values are rounded a query head, then added up over those that share a key head.
Tensor OverGroups(const Tensor& gradient_MHD, const Tensor& like_MKD) {
  const Tensor rounded = gradient_MHD.to(like_MKD.scalar_type()).to(at::kFloat).contiguous();
  return rounded.view({rounded.size(0), like_MKD.size(1), -1, like_MKD.size(2)}).sum(2);
}

void BackwardWork(const FlashCall& host, const Tensor& dout, const AttentionForward& saved,
                  const FlashGradients& to) {
  const WorkScope scope;
  for (const Segment& segment : SegmentsOf(host.query_ends, host.key_ends, host.q.size(0), host.k.size(0))) {
    to.dk.narrow(0, segment.first_key, segment.keys).zero_();  // Also of keys that no query sees.
    to.dv.narrow(0, segment.first_key, segment.keys).zero_();
  }
  ForSegments(host, [&](const Segment& segment) {
    const auto queries = [&](const Tensor& rows) {
      return rows.narrow(0, segment.first_query, segment.queries);
    };
    const AttentionForward own{queries(saved.out_NHD),
                               saved.lse_HN.narrow(1, segment.first_query, segment.queries)};
    const AttentionGradients result = Backward(InputsOf(host), segment, queries(dout), own);
    queries(to.dq).copy_(result.dq_NHD);
    to.dk.narrow(0, segment.first_key, segment.keys).copy_(OverGroups(result.dk_MHD, host.k));
    to.dv.narrow(0, segment.first_key, segment.keys).copy_(OverGroups(result.dv_MHD, host.v));
  });
}

// What the deterministic kernels allocate beside their results, for as long as they are given to the stream.
std::vector<Tensor> Buffers(const FlashCall& call) {
  const at::TensorOptions floats = call.q.options().dtype(at::kFloat);
  const int64_t heads = call.q.size(1), size = call.q.size(2), padded = call.q.size(0) + 128 * call.batch();
  const int64_t splits = (kMultiprocessors + call.batch() * heads - 1) / (call.batch() * heads);
  std::vector<Tensor> buffers = {
      at::empty({heads, padded}, floats),
      at::empty({splits, padded, heads, RoundUp(size, size <= 128 ? 32 : 64)}, floats)};
  if (heads != call.k.size(1)) {
    for (int i = 0; i < 2; ++i) buffers.push_back(at::empty({call.k.size(0), heads, size}, call.q.options()));
  }
  return buffers;
}

void FlashBackward(const c10::OperatorHandle& op, Stack* stack) {
  const size_t count = op.schema().arguments().size();
  const Stack arguments(stack->end() - static_cast<std::ptrdiff_t>(count), stack->end());
  RefuseOptions(op.schema(), arguments);
  TORCH_CHECK_NOT_IMPLEMENTED(arguments[10].toDouble() == 0, "flash: dropout is not emulated");
  TORCH_CHECK(
      at::globalContext().deterministicAlgorithms() && !at::globalContext().deterministicAlgorithmsWarnOnly(),
      "flash: without deterministic algorithms, the backward pass adds up in an order of its own each time");
  const Tensor q = arguments[1].toTensor();
  const double scale =
      arguments[14].isNone() ? 1 / std::sqrt(static_cast<double>(q.size(-1))) : arguments[14].toDouble();
  const FlashCall call{q,
                       arguments[2].toTensor(),
                       arguments[3].toTensor(),
                       arguments[6].toTensor(),
                       arguments[7].toTensor(),
                       arguments[8].toInt(),
                       arguments[9].toInt(),
                       scale,
                       arguments[11].toBool()};
  call.Demand();
  const Tensor dout = arguments[0].toTensor().contiguous(), out = arguments[4].toTensor().contiguous();
  const Tensor lse = arguments[5].toTensor();
  CheckRows(dout, "dout", q);
  CheckRows(out, "out", q);
  TORCH_CHECK(dout.sizes() == q.sizes() && out.sizes() == q.sizes(),
              "dout and out must have the shape of query");
  TORCH_CHECK(lse.device() == q.device() && lse.scalar_type() == at::kFloat && lse.is_contiguous() &&
                  lse.numel() == q.size(0) * q.size(1),
              "softmax_lse must be float32, num_heads x total_q, on the device");
  const FlashGradients made{at::empty_like(q), at::empty_like(call.k), at::empty_like(call.v)};
  const std::vector<Tensor> buffers = Buffers(call);
  torch::jit::drop(*stack, count);
  torch::jit::push(*stack, made.dq, made.dk, made.dv);
  const AttentionForward saved{HostView(out), HostView(lse)};
  const FlashGradients host_made{HostView(made.dq), HostView(made.dk), HostView(made.dv)};
  Device& device = DeviceOf(q);
  Check(device.Launch(CurrentStream(device), [host = OnHost(call), dout = HostView(dout), saved, host_made] {
    BackwardWork(host, dout, saved, host_made);
  }));
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("_flash_attention_forward", torch::CppFunction::makeFromBoxedFunction<&FlashForward>());
  library.impl("_flash_attention_backward", torch::CppFunction::makeFromBoxedFunction<&FlashBackward>());
}

}  // namespace ft::simdevice
