#include "worker/model/ops/loss_head.h"

#include <algorithm>

#include "core/base/check.h"
#include "worker/device/staging.h"
#include "worker/model/ops/fused_gemm.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/kernel_table.h"

namespace ft::ops {
namespace {

using torch::Tensor;

// Floats of one chunk of logits: 64 MiB.
constexpr int64_t kChunkElements = int64_t{1} << 24;

// The losses of a chunk's rows; its logits become their gradients where asked.
void ChunkLosses(const Tensor& targets_S, const LossRequest& request, Tensor& logits_SV, Tensor losses_S) {
  const int64_t rows = logits_SV.size(0);
  const kernels::CrossEntropyShape shape{logits_SV.size(1), request.gradient,
                                         static_cast<float>(request.gradient_scale)};
  WithType(logits_SV.scalar_type(), [&](auto type) {
    using T = decltype(type);
    Launch(logits_SV, &KernelsOf<T>::cross_entropy,
           {shape, rows, Data<int64_t>(targets_S), MutableData<T>(logits_SV), MutableData<double>(losses_S)});
  });
}

}  // namespace

// In row order: a sum of LibTorch's may change with the number of threads.
double TokenLosses::Sum() const {
  if (!losses_S.defined()) return 0;
  const Tensor losses = device::Download(losses_S);
  const double* loss = Data<double>(losses);
  const int64_t rows = losses.size(0);
  double sum = 0;
  for (int64_t start = 0; start < rows; start += chunk_rows) {
    double chunk = 0;
    for (int64_t row = start; row < std::min(start + chunk_rows, rows); ++row) chunk += loss[row];
    sum += chunk;
  }
  return sum;
}

Tensor Embed(const WeightSlot& embedding_VC, const Tensor& ids_N, at::ScalarType type) {
  torch::NoGradGuard no_grad;
  if (!ids_N.is_cpu()) {
    return at::index_select(embedding_VC.Materialise(type), 0, ids_N).to(torch::kFloat);
  }
  const std::shared_ptr<const MatrixTiles> table = embedding_VC.Tiles(type);
  const int64_t rows = ids_N.size(0), channels = table->columns();
  Tensor x_NC = torch::empty({rows, channels}, torch::kFloat);
  const int64_t* ids = Data<int64_t>(ids_N);
  float* out = MutableData<float>(x_NC);
  WithType(table->type(), [&](auto held) {
    using T = decltype(held);
    std::vector<T> scratch(static_cast<size_t>(MatrixTiles::ScratchSize({0, 1, 0, channels})));
    for (int64_t row = 0; row < rows; ++row) {
      kernels::CopyRows<T, float>(table->Tile({ids[row], 1, 0, channels}, scratch.data()),
                                  out + row * channels);
    }
  });
  return x_NC;
}

void AddEmbeddingGradient(const Tensor& ids_N, const Tensor& dx_NC, Tensor& gradient_VC) {
  const int64_t rows = ids_N.size(0), channels = gradient_VC.size(1);
  const Tensor dx = dx_NC.to(torch::kFloat).contiguous();
  if (!dx.is_cpu()) {  // LibTorch's sorts the ids, so its sums have one order.
    gradient_VC.add_(at::embedding_dense_backward(dx, ids_N, gradient_VC.size(0), -1, false));
    return;
  }
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
  return Compute({.terms = {{hidden_SC, &head_VC, {}, true}}});
}

LossResult CrossEntropy(const Tensor& hidden_SC, const WeightSlot& head_VC,
                        const std::vector<int64_t>& targets, const LossRequest& request) {
  torch::NoGradGuard no_grad;
  const int64_t rows = hidden_SC.size(0), vocabulary = head_VC.shape()[0];
  FT_CHECK(rows == static_cast<int64_t>(targets.size()));
  const at::ScalarType type = hidden_SC.scalar_type();
  LossResult result;
  if (request.gradient) {
    result.dhidden_SC = torch::empty_like(hidden_SC);
    if (head_VC.trainable())
      result.dhead_VC = torch::zeros(head_VC.shape(), hidden_SC.options().dtype(torch::kFloat));
  }
  const Tensor all_targets = device::Upload(torch::tensor(targets, torch::kInt64), hidden_SC.device());
  const int64_t chunk_rows = std::max<int64_t>(1, kChunkElements / vocabulary);
  result.losses = {torch::empty({rows}, hidden_SC.options().dtype(torch::kDouble)), chunk_rows};
  for (int64_t start = 0; start < rows; start += chunk_rows) {
    const int64_t count = std::min(chunk_rows, rows - start);
    const Tensor hidden = hidden_SC.narrow(0, start, count);
    Tensor logits = Compute({.terms = {{hidden, &head_VC, {}, true}}, .type = type});
    ChunkLosses(all_targets.narrow(0, start, count), request, logits,
                result.losses.losses_S.narrow(0, start, count));
    if (!request.gradient) continue;
    result.dhidden_SC.narrow(0, start, count).copy_(Compute({.terms = {{logits, &head_VC}}, .type = type}));
    if (result.dhead_VC.defined()) {
      Compute({.terms = {{logits.t().contiguous(), nullptr, hidden}},
               .start_NC = result.dhead_VC,
               .in_place = true});
    }
  }
  return result;
}

}  // namespace ft::ops
