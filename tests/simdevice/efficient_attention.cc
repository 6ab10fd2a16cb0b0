// aten::_efficient_attention_forward and _backward: attention_math.h, with the demands of LibTorch's kernels
// (aten/src/ATen/native/transformers/cuda/attention.cu and attention_backward.cu, mem_eff_attention/kernel_backward.h) on a card from sm_80
// on, where only kernels with aligned accesses exist, and their layout of results: the sums of exponentials are padded to 32 queries, a row
// a segment. Not emulated, and refused: a bias, dropout, windows, shared storage of gradients.
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "tests/simdevice/attention_math.h"
#include "tests/simdevice/current.h"
#include "tests/simdevice/host_view.h"

namespace ft::simdevice {
namespace {

using at::Tensor;
using c10::IValue;
using torch::jit::Stack;

constexpr int64_t kLseAlignment = 32;
constexpr int64_t kAccess = 16;  // Bytes that a kernel reads at once.

// What both directions get, with what both demand. Legend: B batches, N queries, M keys, H heads, D head size.
struct EfficientCall {
  Tensor q_BNHD, k_BMHD, v_BMHD, query_ends, key_ends;  // The last two are undefined for dense batches.
  std::optional<int64_t> longest_query, longest_key;
  Mask mask = Mask::kNone;
  double scale = 1;

  bool segmented() const { return query_ends.defined(); }
  int64_t rows() const { return segmented() ? query_ends.numel() - 1 : q_BNHD.size(0); }
  int64_t LongestQuery() const { return segmented() ? *longest_query : q_BNHD.size(1); }
  void Demand() const;
};

void CheckRows(const Tensor& x, const char* name, const Tensor& q) {
  TORCH_CHECK(x.is_cuda() && x.device() == q.device(), name, " must be a CUDA tensor on the device of query");
  TORCH_CHECK(x.dim() == 4 && x.size(0) == q.size(0) && x.size(2) == q.size(2), name,
              " must have the batches and heads of query (there are no key heads for groups)");
  TORCH_CHECK(x.scalar_type() == q.scalar_type(), name, " must have the dtype of query");
  TORCH_CHECK(x.stride(-1) == 1, name, ": last dimension must be contiguous");
  TORCH_CHECK(x.stride(2) * x.element_size() % kAccess == 0, "cutlassF: no kernel found to launch! (", name,
              ": rows of heads are not aligned to ", kAccess, " bytes)");
}

void CheckEnds(const Tensor& ends, const Tensor& q) {
  TORCH_CHECK(ends.scalar_type() == at::kInt && ends.dim() == 1, "cu_seqlens must be one row of int32");
  TORCH_CHECK(ends.is_cuda() && ends.device() == q.device(),
              "cu_seqlens must be a CUDA tensor on the device of query");
  TORCH_CHECK(ends.is_contiguous(), "cu_seqlens must be contiguous");
}

void EfficientCall::Demand() const {
  const at::ScalarType type = q_BNHD.scalar_type();
  TORCH_CHECK(type == at::kFloat || type == at::kHalf || type == at::kBFloat16,
              "Only fp32, half & bf16 supported");
  CheckRows(q_BNHD, "query", q_BNHD);
  CheckRows(k_BMHD, "key", q_BNHD);
  CheckRows(v_BMHD, "value", q_BNHD);
  TORCH_CHECK(k_BMHD.size(1) == v_BMHD.size(1), "key and value must have the same length");
  TORCH_CHECK(q_BNHD.size(3) == k_BMHD.size(3), "query and key must have the same head size");
  TORCH_CHECK(query_ends.defined() == key_ends.defined(), "cu_seqlens must be given for both or none");
  if (!segmented()) return;
  CheckEnds(query_ends, q_BNHD);
  CheckEnds(key_ends, q_BNHD);
  TORCH_CHECK(query_ends.numel() == key_ends.numel() && query_ends.numel() > 1,
              "cu_seqlens of queries and keys must have the same length");
  TORCH_CHECK(q_BNHD.size(0) == 1, "cu_seqlen only supports batch_size=1");
  TORCH_CHECK(longest_query.has_value(), "max_seqlen_q is required with cu_seqlens");
}

std::optional<int64_t> NumberOf(const IValue& value) {
  return value.isNone() ? std::nullopt : std::optional(value.toInt());
}
Tensor TensorOf(const IValue& value) { return value.isNone() ? Tensor() : value.toTensor(); }

Mask MaskOf(const IValue& value) {
  TORCH_CHECK(value.toInt() >= 0 && value.toInt() <= 2, "invalid value for `custom_mask_type`");
  return static_cast<Mask>(value.toInt());
}

double ScaleOf(const IValue& value, const Tensor& q) {
  return value.isNone() ? 1 / std::sqrt(static_cast<double>(q.size(-1))) : value.toDouble();
}

void RefuseOptions(const c10::FunctionSchema& schema, const Stack& arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = schema.arguments()[i].name();
    const bool empty = arguments[i].isNone() ||
                       (arguments[i].isTensor() && !arguments[i].toTensor().defined()) ||
                       (arguments[i].isBool() && !arguments[i].toBool());
    const bool refused = name == "bias" || name == "seqlen_k" || name == "window_size" ||
                         name == "shared_storage_dqdkdv" || name == "bias_requires_grad";
    TORCH_CHECK_NOT_IMPLEMENTED(!refused || empty, schema.name(), ": ", name, " is not emulated");
    TORCH_CHECK_NOT_IMPLEMENTED(name != "dropout_p" || arguments[i].toDouble() == 0, schema.name(),
                                ": dropout is not emulated");
  }
}

EfficientCall OnHost(const EfficientCall& call) {
  EfficientCall host = call;
  for (Tensor* tensor : {&host.q_BNHD, &host.k_BMHD, &host.v_BMHD, &host.query_ends, &host.key_ends}) {
    *tensor = HostView(*tensor);
  }
  return host;
}

Tensor Flat(const Tensor& x_BNHD) { return x_BNHD.flatten(0, 1); }

// Calls each(row, segment) over rows of the flattened batches.
template <typename Each>
void ForSegments(const EfficientCall& host, Each each) {
  const int64_t queries = host.q_BNHD.size(1), keys = host.k_BMHD.size(1);
  std::vector<Segment> segments;
  if (host.segmented()) {
    segments = SegmentsOf(host.query_ends, host.key_ends, queries, keys);
  } else {
    for (int64_t b = 0; b < host.q_BNHD.size(0); ++b)
      segments.push_back({b * queries, queries, b * keys, keys});
  }
  for (size_t row = 0; row < segments.size(); ++row) each(static_cast<int64_t>(row), segments[row]);
}

AttentionInputs InputsOf(const EfficientCall& host) {
  return {Flat(host.q_BNHD), Flat(host.k_BMHD), Flat(host.v_BMHD), host.scale, host.mask};
}

void ForwardWork(const EfficientCall& host, const Tensor& out_BNHD, const Tensor& lse_SHN) {
  const WorkScope scope;
  ForSegments(host, [&](int64_t row, const Segment& segment) {
    // `longest_query` sizes the grid: a longer segment is not finished, which is met here instead of in what is left as it was.
    TORCH_CHECK(segment.queries <= host.LongestQuery(), "attention: a segment has ", segment.queries,
                " queries, max_seqlen_q is ", host.LongestQuery());
    if (segment.queries == 0) return;
    const AttentionForward result = Forward(InputsOf(host), segment);
    out_BNHD.view({-1, out_BNHD.size(2), out_BNHD.size(3)})
        .narrow(0, segment.first_query, segment.queries)
        .copy_(result.out_NHD);
    if (lse_SHN.size(2) == 0) return;
    const int64_t padded = (segment.queries + kLseAlignment - 1) / kLseAlignment * kLseAlignment;
    lse_SHN.select(0, row)
        .narrow(1, 0, std::min(padded, lse_SHN.size(2)))
        .fill_(std::numeric_limits<float>::infinity());
    lse_SHN.select(0, row).narrow(1, 0, segment.queries).copy_(result.lse_HN);
  });
}

void EfficientForward(const c10::OperatorHandle& op, Stack* stack) {
  const size_t count = op.schema().arguments().size();
  const Stack arguments(stack->end() - static_cast<std::ptrdiff_t>(count), stack->end());
  RefuseOptions(op.schema(), arguments);
  const Tensor q = arguments[0].toTensor();
  const EfficientCall call{q,
                           arguments[1].toTensor(),
                           arguments[2].toTensor(),
                           TensorOf(arguments[4]),
                           TensorOf(arguments[5]),
                           NumberOf(arguments[6]),
                           NumberOf(arguments[7]),
                           MaskOf(arguments[9]),
                           ScaleOf(arguments[11], q)};
  call.Demand();
  const int64_t longest = call.LongestQuery();
  const int64_t padded = (longest + kLseAlignment - 1) / kLseAlignment * kLseAlignment;
  const Tensor out = at::empty({q.size(0), q.size(1), q.size(2), call.v_BMHD.size(3)}, q.options());
  const Tensor lse =
      at::empty({call.rows(), q.size(2), arguments[10].toBool() ? padded : 0}, q.options().dtype(at::kFloat));
  const int64_t longest_key = call.longest_key.value_or(call.segmented() ? 0 : call.k_BMHD.size(1));
  torch::jit::drop(*stack, count);
  torch::jit::push(*stack, out, lse, at::empty({}, at::kLong), at::empty({}, at::kLong), longest,
                   longest_key);
  Device& device = DeviceOf(q);
  Check(device.Launch(CurrentStream(device), [host = OnHost(call), out = HostView(out), lse = HostView(lse)] {
    ForwardWork(host, out, lse);
  }));
}

struct EfficientGradients {
  Tensor dq, dk, dv;
};

void BackwardWork(const EfficientCall& host, const Tensor& dout, const AttentionForward& saved,
                  const EfficientGradients& to) {
  const WorkScope scope;
  const auto flat = [](const Tensor& x) { return x.view({-1, x.size(2), x.size(3)}); };
  ForSegments(host, [&](int64_t row, const Segment& segment) {
    const auto queries = [&](const Tensor& x) {
      return flat(x).narrow(0, segment.first_query, segment.queries);
    };
    const auto keys = [&](const Tensor& x) { return flat(x).narrow(0, segment.first_key, segment.keys); };
    const AttentionForward own{queries(saved.out_NHD),
                               saved.lse_HN.select(0, row).narrow(1, 0, segment.queries)};
    const AttentionGradients result = Backward(InputsOf(host), segment, queries(dout), own);
    queries(to.dq).copy_(result.dq_NHD);
    keys(to.dk).copy_(result.dk_MHD);
    keys(to.dv).copy_(result.dv_MHD);
  });
}

// What only the backward pass demands; in a deterministic run one split of the keys.
void DemandBackward(const EfficientCall& call, const Tensor& dout, const Tensor& out, const Tensor& lse,
                    std::optional<int64_t> splits) {
  CheckRows(dout, "grad_out", call.q_BNHD);
  CheckRows(out, "out", call.q_BNHD);
  TORCH_CHECK(dout.size(1) == call.q_BNHD.size(1) && dout.size(3) == call.v_BMHD.size(3) &&
                  out.sizes() == dout.sizes(),
              "grad_out and out must have the shape of the output");
  TORCH_CHECK(lse.device() == dout.device() && lse.scalar_type() == at::kFloat && lse.dim() == 3 &&
                  lse.size(0) == call.rows(),
              "logsumexp must be as the forward pass left it");
  TORCH_CHECK(call.q_BNHD.size(2) <= 1 || lse.stride(1) % 8 == 0, "LSE is not correctly aligned (strideH)");
  TORCH_CHECK(call.rows() <= 1 || lse.stride(0) % 8 == 0, "LSE is not correctly aligned (strideB)");
  TORCH_CHECK(
      at::globalContext().deterministicAlgorithms() && splits.value_or(1) <= 1,
      "Using `num_splits_key > 1` makes the algorithm non-deterministic, and the trainer is deterministic");
  if (!call.segmented()) return;
  TORCH_CHECK(*call.longest_query > 0, "max_seqlen_q required with `cu_seqlens_q`");
  TORCH_CHECK(call.longest_key.value_or(0) > 0, "max_seqlen_k required with `cu_seqlens_k`");
  TORCH_CHECK(*call.longest_key <= call.k_BMHD.size(1), "Invalid max_seqlen_k:", *call.longest_key);
  TORCH_CHECK(*call.longest_query <= call.q_BNHD.size(1), "Invalid max_seqlen_q:", *call.longest_query);
}

void EfficientBackward(const c10::OperatorHandle& op, Stack* stack) {
  const size_t count = op.schema().arguments().size();
  const Stack arguments(stack->end() - static_cast<std::ptrdiff_t>(count), stack->end());
  RefuseOptions(op.schema(), arguments);
  const Tensor q = arguments[1].toTensor();
  const EfficientCall call{q,
                           arguments[2].toTensor(),
                           arguments[3].toTensor(),
                           TensorOf(arguments[6]),
                           TensorOf(arguments[7]),
                           NumberOf(arguments[8]),
                           NumberOf(arguments[9]),
                           MaskOf(arguments[14]),
                           ScaleOf(arguments[16], q)};
  call.Demand();
  const Tensor dout = arguments[0].toTensor().contiguous(), out = arguments[5].toTensor(),
               lse = arguments[10].toTensor();
  DemandBackward(call, dout, out, lse, NumberOf(arguments[17]));
  const EfficientGradients made{at::empty(q.sizes(), q.options()),
                                at::empty(call.k_BMHD.sizes(), q.options()),
                                at::empty(call.v_BMHD.sizes(), q.options())};
  const Tensor delta =
      at::empty({q.size(0), q.size(2), q.size(1)}, q.options().dtype(at::kFloat));  // The kernel's own.
  torch::jit::drop(*stack, count);
  torch::jit::push(*stack, made.dq, made.dk, made.dv, Tensor());
  const AttentionForward saved{HostView(out), HostView(lse)};
  const EfficientGradients host_made{HostView(made.dq), HostView(made.dk), HostView(made.dv)};
  Device& device = DeviceOf(q);
  Check(device.Launch(CurrentStream(device), [host = OnHost(call), dout = HostView(dout), saved, host_made] {
    BackwardWork(host, dout, saved, host_made);
  }));
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("_efficient_attention_forward",
               torch::CppFunction::makeFromBoxedFunction<&EfficientForward>());
  library.impl("_efficient_attention_backward",
               torch::CppFunction::makeFromBoxedFunction<&EfficientBackward>());
}

}  // namespace ft::simdevice
