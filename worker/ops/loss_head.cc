#include "worker/ops/loss_head.h"

#include <algorithm>

#include "core/base/check.h"
#include "worker/ops/kernel_call.h"

namespace ft::ops {
namespace {

using torch::Tensor;

// Floats of one chunk of logits: 64 MiB.
constexpr int64_t kChunkElements = int64_t{1} << 24;

// Adds the losses of a chunk to `sum` and turns `log_p` into gradients of the logits where asked.
Tensor ChunkLoss(const Tensor& log_p_SV, const int64_t* targets, const LossRequest& request, double* sum) {
  const int64_t rows = log_p_SV.size(0), vocabulary = log_p_SV.size(1);
  const float* log_p = Data<float>(log_p_SV);
  for (int64_t row = 0; row < rows; ++row)
    *sum -= static_cast<double>(log_p[row * vocabulary + targets[row]]);
  if (!request.gradient) return Tensor();
  Tensor gradient = at::exp(log_p_SV);
  float* out = MutableData<float>(gradient);
  for (int64_t row = 0; row < rows; ++row) out[row * vocabulary + targets[row]] -= 1.0f;
  return gradient.mul_(request.gradient_scale);
}

}  // namespace

Tensor Embed(const WeightSlot& embedding_VC, const Tensor& ids_N, at::ScalarType type) {
  torch::NoGradGuard no_grad;
  return at::index_select(embedding_VC.Materialise(type), 0, ids_N).to(torch::kFloat);
}

void AddEmbeddingGradient(const Tensor& ids_N, const Tensor& dx_NC, Tensor& gradient_VC) {
  const int64_t rows = ids_N.size(0), channels = gradient_VC.size(1);
  const Tensor dx = dx_NC.to(torch::kFloat).contiguous();
  const int64_t* ids = Data<int64_t>(ids_N);
  const float* in = Data<float>(dx);
  float* out = MutableData<float>(gradient_VC);
  // Threads divide the channels, so every element is added up in row order by one thread.
  OverRows(channels, rows, [&](int64_t first, int64_t last) {
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t c = first; c < last; ++c) out[ids[row] * channels + c] += in[row * channels + c];
    }
  });
}

Tensor Logits(const Tensor& hidden_SC, const WeightSlot& head_VC) {
  torch::NoGradGuard no_grad;
  return at::mm(hidden_SC, head_VC.Materialise(hidden_SC.scalar_type()).t()).to(torch::kFloat);
}

LossResult CrossEntropy(const Tensor& hidden_SC, const WeightSlot& head_VC,
                        const std::vector<int64_t>& targets, const LossRequest& request) {
  torch::NoGradGuard no_grad;
  const int64_t rows = hidden_SC.size(0), vocabulary = head_VC.shape()[0];
  FT_CHECK(rows == static_cast<int64_t>(targets.size()));
  const at::ScalarType type = hidden_SC.scalar_type();
  const Tensor head = head_VC.Materialise(type);
  LossResult result;
  if (request.gradient) {
    result.dhidden_SC = torch::empty_like(hidden_SC);
    if (head_VC.trainable()) result.dhead_VC = torch::zeros(head.sizes(), torch::kFloat);
  }
  const int64_t chunk_rows = std::max<int64_t>(1, kChunkElements / vocabulary);
  for (int64_t start = 0; start < rows; start += chunk_rows) {
    const int64_t count = std::min(chunk_rows, rows - start);
    const Tensor hidden = hidden_SC.narrow(0, start, count);
    const Tensor log_p = at::log_softmax(at::mm(hidden, head.t()).to(torch::kFloat), -1);
    Tensor gradient = ChunkLoss(log_p, targets.data() + start, request, &result.sum);
    if (!request.gradient) continue;
    gradient = gradient.to(type);
    result.dhidden_SC.narrow(0, start, count).copy_(at::mm(gradient, head));
    if (result.dhead_VC.defined()) result.dhead_VC.add_(at::mm(gradient.t(), hidden));
  }
  return result;
}

}  // namespace ft::ops
