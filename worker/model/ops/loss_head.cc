#include "worker/model/ops/loss_head.h"

#include <algorithm>

#include "core/base/check.h"
#include "kernels/attention/attention.h"
#include "worker/device/staging.h"
#include "worker/model/ops/fused_gemm.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/kernel_table.h"

namespace ft::ops {
namespace {

using torch::Tensor;

// Floats of one chunk of logits: 64 MiB.
constexpr int64_t kChunkElements = int64_t{1} << 24;
// Rows of the head's gradient that are computed at once on a CPU: a MiB or two of gradients of logits are transposed for them.
constexpr int64_t kTransposedRows = 4096;

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

// gradient_VC += the transpose of dlogits_SV times hidden_SC, so many rows at a time on a CPU, that what is transposed fits its caches and no
// second chunk of logits is in memory. A row's bits do not depend on the others.
void AddHeadGradient(const Tensor& dlogits_SV, const Tensor& hidden_SC, const Tensor& gradient_VC) {
  const int64_t all = gradient_VC.size(0), most = gradient_VC.is_cpu() ? kTransposedRows : all;
  for (int64_t begin = 0; begin < all; begin += most) {
    const int64_t count = std::min(most, all - begin);
    Compute({.terms = {{dlogits_SV.narrow(1, begin, count).t().contiguous(), nullptr, hidden_SC}},
             .start_NC = gradient_VC.narrow(0, begin, count),
             .in_place = true});
  }
}

// 1 / the length of each row of a weight.
Tensor InverseLengths(const WeightSlot& weight_VC, const Tensor& hidden_SC) {
  constexpr double kLeast = 1e-12;
  const at::ScalarType type = hidden_SC.scalar_type();
  if (!hidden_SC.is_cpu()) {
    const Tensor lengths_V =
        at::linalg_vector_norm(weight_VC.Materialise(type), 2, at::IntArrayRef{1}, false, torch::kFloat);
    return lengths_V.clamp_min_(kLeast).reciprocal_();
  }
  const std::shared_ptr<const MatrixTiles> tiles = weight_VC.Tiles(type);
  const int64_t rows = tiles->rows(), columns = tiles->columns();
  Tensor squares_V = torch::empty({rows}, torch::kFloat);
  float* squares = MutableData<float>(squares_V);
  WithType(tiles->type(), [&](auto held) {
    using T = decltype(held);
    OverRows(rows, columns, [&](int64_t first, int64_t last) {
      std::vector<T> scratch(static_cast<size_t>(MatrixTiles::ScratchSize({0, 1, 0, columns})));
      for (int64_t row = first; row < last; ++row) {
        const kernels::StridedRows<T> values = tiles->Tile({row, 1, 0, columns}, scratch.data());
        kernels::RowDots<T>(values, values, squares + row);
      }
    });
  });
  return squares_V.sqrt_().clamp_min_(kLeast).reciprocal_();
}

// What a head makes of the products with its weight, and the way back.
class HeadChange {
 public:
  HeadChange(const Head& head, const Tensor& hidden_SC) : head_(head) {
    if (head.normalised) inverse_V_ = InverseLengths(head.weight_VC, hidden_SC);
  }

  // Products become logits, in place. Returns what a logit changes with its product before the rows' lengths; undefined = 1.
  Tensor Forward(Tensor& logits_SV) const {
    if (inverse_V_.defined()) logits_SV.mul_(inverse_V_);
    if (head_.cap == 0) return Tensor();
    const Tensor bent_SV = (logits_SV.to(torch::kFloat) / head_.cap).tanh_();
    logits_SV.copy_(bent_SV * head_.cap);
    return 1 - bent_SV.square();
  }
  // Gradients of logits become those of products.
  void Backward(const Tensor& derivative_SV, Tensor& gradient_SV) const {
    if (derivative_SV.defined()) gradient_SV.mul_(derivative_SV);
    if (inverse_V_.defined()) gradient_SV.mul_(inverse_V_);
  }
  // The gradient of the weight, of products alone at first: a row's length does not change the logits, so what lies along the row
  // falls away.
  void WeightGradient(Tensor& gradient_VC) const {
    if (!inverse_V_.defined()) return;
    const Tensor unit_VC = head_.weight_VC.Materialise(torch::kFloat) * inverse_V_.unsqueeze(1);
    gradient_VC.sub_(unit_VC * (unit_VC * gradient_VC).sum(1, /*keepdim=*/true));
  }

 private:
  const Head& head_;
  Tensor inverse_V_;  // Undefined where the head is not normalised.
};

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

Tensor Logits(const Tensor& hidden_SC, const Head& head) {
  torch::NoGradGuard no_grad;
  const HeadChange change(head, hidden_SC);
  Tensor logits_SV = Compute({.terms = {{hidden_SC, &head.weight_VC, {}, true}}});
  change.Forward(logits_SV);
  return logits_SV;
}

LossResult CrossEntropy(const Tensor& hidden_SC, const Head& head, const std::vector<int64_t>& targets,
                        const LossRequest& request) {
  torch::NoGradGuard no_grad;
  const WeightSlot& head_VC = head.weight_VC;
  const int64_t rows = hidden_SC.size(0), vocabulary = head_VC.shape()[0];
  FT_CHECK(rows == static_cast<int64_t>(targets.size()));
  const at::ScalarType type = hidden_SC.scalar_type();
  LossResult result;
  if (request.gradient) {
    result.dhidden_SC = torch::empty_like(hidden_SC);
    if (head_VC.trainable()) {
      result.dhead_VC = request.head_room_VC.defined()
                            ? request.head_room_VC
                            : torch::zeros(head_VC.shape(), hidden_SC.options().dtype(torch::kFloat));
    }
  }
  const HeadChange change(head, hidden_SC);
  const Tensor all_targets = device::Upload(torch::tensor(targets, torch::kInt64), hidden_SC.device());
  const int64_t chunk_rows = std::max<int64_t>(1, kChunkElements / vocabulary);
  result.losses = {torch::empty({rows}, hidden_SC.options().dtype(torch::kDouble)), chunk_rows};
  for (int64_t start = 0; start < rows; start += chunk_rows) {
    const int64_t count = std::min(chunk_rows, rows - start);
    const Tensor hidden = hidden_SC.narrow(0, start, count);
    Tensor logits = Compute({.terms = {{hidden, &head_VC, {}, true}}, .type = type});
    const Tensor derivative = change.Forward(logits);
    ChunkLosses(all_targets.narrow(0, start, count), request, logits,
                result.losses.losses_S.narrow(0, start, count));
    if (!request.gradient) continue;
    change.Backward(derivative, logits);
    result.dhidden_SC.narrow(0, start, count).copy_(Compute({.terms = {{logits, &head_VC}}, .type = type}));
    if (result.dhead_VC.defined()) AddHeadGradient(logits, hidden, result.dhead_VC);
  }
  if (result.dhead_VC.defined()) change.WeightGradient(result.dhead_VC);
  return result;
}

}  // namespace ft::ops
