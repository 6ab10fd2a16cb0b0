#include "worker/model/ops/attention.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "kernels/attention/attention.h"
#include "worker/model/ops/few_rows_attention.h"
#include "worker/model/ops/fused_attention.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/micro_gemm.h"
#include "worker/model/ops/plain_attention.h"
#include "worker/model/ops/row_gemm.h"
#include "worker/model/ops/row_sums.h"
#include "worker/model/ops/saved_attention.h"
#include "worker/model/ops/saved_context.h"
#include "worker/model/ops/thread_arena.h"

namespace ft::ops {
namespace {

using kernels::StridedRows;
using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kTile = kernels::kAttentionTile;

// Sizes and rows of a call; what each task does is one head of one segment.
template <typename T>
struct Call {
  const std::vector<AttentionSegment>& segments;
  float scale = 1;
  int64_t window = kernels::kNoWindow;
  float cap = 0;
  const std::vector<float>* slopes = nullptr;
  int64_t rows = 0, heads = 0, key_heads = 0, size = 0;
  const T* q = nullptr;
  const T* k = nullptr;
  const T* v = nullptr;

  int64_t groups() const { return heads / key_heads; }
  kernels::ScoreChange ChangeOf(int64_t head) const {
    return {cap, slopes == nullptr ? 0 : (*slopes)[static_cast<size_t>(head)]};
  }
  // The first key, at the edge of a tile, that queries from position `seen` on see.
  int64_t FirstKey(int64_t seen) const { return std::max<int64_t>(0, seen + 1 - window) / kTile * kTile; }
  StridedRows<T> Queries(const T* of, const AttentionSegment& s, int64_t head, int64_t first,
                         int64_t count) const {
    return {of + ((s.first_query + first) * heads + head) * size, count, size, heads * size};
  }
  StridedRows<T> Keys(const T* of, const AttentionSegment& s, int64_t head) const {
    return {of + (s.first_key * key_heads + head / groups()) * size, s.keys, size, key_heads * size};
  }
  // task(segment, head) on this rank's threads; the results do not depend on who takes which.
  template <typename Task>
  void ForEach(Task task) const {
    const int64_t count = static_cast<int64_t>(segments.size()) * heads;
    at::parallel_for(0, count, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) task(segments[static_cast<size_t>(i / heads)], i % heads);
    });
  }
};

template <typename T>
Call<T> MakeCall(const AttentionShape& shape, const Tensor& q_NHD, const Tensor& k_MKD, const Tensor& v_MKD) {
  return {.segments = *shape.segments,
          .scale = static_cast<float>(shape.scale),
          .window = shape.window > 0 ? shape.window : kernels::kNoWindow,
          .cap = static_cast<float>(shape.cap),
          .slopes = shape.slopes.get(),
          .rows = q_NHD.size(0),
          .heads = q_NHD.size(1),
          .key_heads = k_MKD.size(1),
          .size = q_NHD.size(2),
          .q = Data<T>(q_NHD),
          .k = Data<T>(k_MKD),
          .v = Data<T>(v_MKD)};
}

template <typename T>
struct ForwardOut {
  T* out;      // N x H x D.
  float* lse;  // H x N.
};

// The keys and values of a head as right-hand sides: keys in tiles of kTile rows, transposed, values in rows.
template <typename T>
struct PackedKeys {
  const T* k_transposed;
  const T* v_rows;
};

template <typename T>
PackedKeys<T> PackKeys(const StridedRows<T>& k, const StridedRows<T>& v, T* k_transposed, T* v_rows) {
  for (int64_t key = 0; key < k.rows; key += kTile) {
    kernels::PackTransposed(k.Slice(key, kTile), k_transposed + key * k.columns);
  }
  kernels::PackRows(v, v_rows);
  return {k_transposed, v_rows};
}

// One tile of queries against one tile of keys, [first, first + tile.keys).
template <typename T>
void ForwardTile(const StridedRows<T>& q, const PackedKeys<T>& packed, int64_t first,
                 const kernels::ScoreTile& tile, const kernels::ScoreChange& change, float* s, T* p,
                 kernels::OnlineSoftmax& state) {
  const int64_t size = q.columns;
  for (int64_t key = 0; key < tile.keys; key += kTile) {
    const int64_t keys = std::min(kTile, tile.keys - key);
    Multiply<T>({q.rows, keys, size, q.data, q.stride, packed.k_transposed + (first + key) * size, keys,
                 s + key, kernels::kScoreStride});
  }
  if (!change.none()) {
    kernels::ChangeScores(change, tile.scale, {q.rows, tile.keys, kernels::kScoreStride, tile.seen}, s,
                          nullptr);
  }
  kernels::OnlineSoftmaxTile<T>(tile, s, p, state);
  Multiply<T>({q.rows, size, kernels::Grouped<T>(tile.keys), p, kernels::kScoreStride,
               packed.v_rows + first * size, size, state.o, size, true});
}

template <typename T>
void ForwardHead(const Call<T>& call, const AttentionSegment& s, int64_t head, const ForwardOut<T>& to) {
  const int64_t width = kernels::Grouped<T>(s.keys), size = call.size;
  constexpr int64_t kScores = kTile * kernels::kScoreStride;
  ThreadArena& arena =
      ThreadArena::Of(2 * ThreadArena::Piece<T>(width * size) + ThreadArena::Piece<float>(kScores) +
                      ThreadArena::Piece<T>(kScores) + ThreadArena::Piece<float>(kTile * size));
  T* k_transposed = arena.Take<T>(width * size);
  T* v_rows = arena.Take<T>(width * size);
  float* scores = arena.Take<float>(kScores);
  T* p = arena.Take<T>(kScores);
  kernels::OnlineSoftmax state{.o = arena.Take<float>(kTile * size), .head_size = size};
  const PackedKeys<T> packed =
      PackKeys(call.Keys(call.k, s, head), call.Keys(call.v, s, head), k_transposed, v_rows);
  for (int64_t first = 0; first < s.queries; first += kTile) {
    const StridedRows<T> q = call.Queries(call.q, s, head, first, std::min(kTile, s.queries - first));
    const int64_t seen = s.keys - s.queries + first, visible = seen + q.rows;
    kernels::InitOnlineSoftmax(state);
    for (int64_t key = call.FirstKey(seen); key < visible; key += kernels::kScoreTile) {
      ForwardTile(q, packed, key,
                  {q.rows, std::min(kernels::kScoreTile, visible - key), seen - key, call.scale, call.window},
                  call.ChangeOf(head), scores, p, state);
    }
    kernels::FinishOnlineSoftmax<T>(q.rows, call.scale, state, to.out + (q.data - call.q), q.stride,
                                    to.lse + head * call.rows + s.first_query + first);
  }
}

template <typename T>
struct Backward {
  Call<T> call;
  const T* out;      // N x H x D, as forward left it.
  const float* lse;  // H x N.
  const T* dout;
  T* dq;      // N x H x D.
  float* dk;  // H x M x D: each query head of a group adds to its own; zero at first.
  float* dv;
  int64_t key_rows;  // M.
};

// A task's working memory.
template <typename T>
struct BackwardScratch {
  T *k_transposed, *q_transposed, *dout_transposed, *q_packed, *dout_packed, *p, *ds, *packed_ds;
  float *s, *dp, *derivative, *dq, *lse, *delta;

  BackwardScratch(int64_t keys, int64_t size) {
    const int64_t width = (keys + kTile - 1) / kTile * kTile;
    ThreadArena& arena = ThreadArena::Of(
        ThreadArena::Piece<T>(width * size) + 4 * ThreadArena::Piece<T>(kTile * size) +
        3 * ThreadArena::Piece<T>(kTile * kTile) + 3 * ThreadArena::Piece<float>(kTile * kTile) +
        ThreadArena::Piece<float>(kTile * size) + 2 * ThreadArena::Piece<float>(kTile));
    k_transposed = arena.Take<T>(width * size);
    for (T** piece : {&q_transposed, &dout_transposed, &q_packed, &dout_packed})
      *piece = arena.Take<T>(kTile * size);
    for (T** piece : {&p, &ds, &packed_ds}) *piece = arena.Take<T>(kTile * kTile);
    for (float** piece : {&s, &dp, &derivative}) *piece = arena.Take<float>(kTile * kTile);
    dq = arena.Take<float>(kTile * size);
    for (float** piece : {&lse, &delta}) *piece = arena.Take<float>(kTile);
  }
};

// One tile of keys against one tile of queries, all products transposed so that queries lie side by side.
template <typename T>
void BackwardTile(const Backward<T>& b, const BackwardScratch<T>& m, const AttentionSegment& s, int64_t head,
                  const kernels::GradientTile& tile) {
  const int64_t size = b.call.size;
  const StridedRows<T> k = b.call.Keys(b.call.k, s, head), v = b.call.Keys(b.call.v, s, head);
  const int64_t skip = tile.first_key * k.stride,
                into = (head * b.key_rows + s.first_key + tile.first_key) * size;
  Multiply<T>(
      {tile.keys, tile.queries, size, k.data + skip, k.stride, m.q_transposed, tile.queries, m.s, kTile});
  Multiply<T>(
      {tile.keys, tile.queries, size, v.data + skip, v.stride, m.dout_transposed, tile.queries, m.dp, kTile});
  const kernels::ScoreChange change = b.call.ChangeOf(head);
  float* derivative = change.cap > 0 ? m.derivative : nullptr;
  if (!change.none()) {
    kernels::ChangeScores(change, tile.scale,
                          {.rows = tile.keys,
                           .columns = tile.queries,
                           .stride = kTile,
                           .distance = tile.first_query - tile.first_key,
                           .transposed = true},
                          m.s, derivative);
  }
  kernels::ScoreGradients<T>(tile, {m.s, m.dp, m.lse, m.delta, derivative}, {m.p, m.ds, m.packed_ds});
  const int64_t queries = kernels::Grouped<T>(tile.queries);
  Multiply<T>({tile.keys, size, queries, m.p, kTile, m.dout_packed, size, b.dv + into, size, true});
  Multiply<T>({tile.keys, size, queries, m.ds, kTile, m.q_packed, size, b.dk + into, size, true});
  Multiply<T>({size, tile.queries, kernels::Grouped<T>(tile.keys), m.k_transposed + tile.first_key * size,
               kTile, kernels::kGroup<T> == 1 ? m.ds : m.packed_ds, kTile, m.dq, kTile,
               tile.first_key > b.call.FirstKey(tile.first_query)});
}

template <typename T>
void BackwardHead(const Backward<T>& b, const AttentionSegment& s, int64_t head) {
  const Call<T>& call = b.call;
  const BackwardScratch<T> m(s.keys, call.size);
  const StridedRows<T> k = call.Keys(call.k, s, head);
  for (int64_t key = 0; key < k.rows; key += kTile) {
    kernels::Transpose(k.Slice(key, kTile), m.k_transposed + key * k.columns);
  }
  for (int64_t first = 0; first < s.queries; first += kTile) {
    const int64_t count = std::min(kTile, s.queries - first);
    const StridedRows<T> q = call.Queries(call.q, s, head, first, count),
                         dout = call.Queries(b.dout, s, head, first, count);
    kernels::PackTransposed(q, m.q_transposed);
    kernels::PackTransposed(dout, m.dout_transposed);
    kernels::PackRows(q, m.q_packed);
    kernels::PackRows(dout, m.dout_packed);
    kernels::RowDots(call.Queries(b.out, s, head, first, count), dout, m.delta);
    std::copy_n(b.lse + head * call.rows + s.first_query + first, count, m.lse);
    const int64_t seen = s.keys - s.queries + first, visible = seen + count;
    for (int64_t key = call.FirstKey(seen); key < visible; key += kTile) {
      BackwardTile(b, m, s, head,
                   {.keys = std::min(kTile, visible - key),
                    .queries = count,
                    .first_key = key,
                    .first_query = seen,
                    .scale = call.scale,
                    .window = call.window});
    }
    kernels::StoreTransposed<T>(count, call.size, m.dq, b.dq + (q.data - call.q), q.stride);
  }
}

// M x K x D of the parts of the query heads, H x M x D: those of a group added in order.
Tensor AddGroups(const Tensor& parts_HMD, int64_t key_heads, at::ScalarType type) {
  const int64_t groups = parts_HMD.size(0) / key_heads;
  const Tensor parts_KGMD = parts_HMD.view({key_heads, groups, parts_HMD.size(1), parts_HMD.size(2)});
  Tensor sum_KMD = parts_KGMD.select(1, 0);
  for (int64_t g = 1; g < groups; ++g) sum_KMD.add_(parts_KGMD.select(1, g));
  return sum_KMD.transpose(0, 1).to(type).contiguous();
}

// With a sink the softmax has a larger sum: the result shrinks by as much.
void AddSinks(const AttentionShape& shape, SavedAttention& result) {
  const Tensor sink_H1 = shape.sinks_H->Materialise(at::kFloat).unsqueeze(1);
  const Tensor lse_HN = at::logaddexp(result.lse, sink_H1);
  result.out_NHD.mul_(at::exp(result.lse - lse_HN).t().unsqueeze(2));
  result.lse = lse_HN;
}

// A sink's share of the softmax has no value, so its score's gradient is what the softmax takes from it.
Tensor SinkGradient(const AttentionShape& shape, const SavedAttention& saved, const Tensor& dout_NHD) {
  const Tensor sink_H1 = shape.sinks_H->Materialise(at::kFloat).unsqueeze(1);
  const Tensor share_NH = at::exp(sink_H1 - saved.lse).t();
  const Tensor delta_NH = (dout_NHD.to(at::kFloat) * saved.out_NHD.to(at::kFloat)).sum(2);
  return SumRows((share_NH * delta_NH).neg().contiguous());
}

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& q_NHD, const Tensor& k_MKD,
                        const Tensor& v_MKD, const Tensor& /*sinks' handle*/, AttentionShape shape,
                        SavedAttention* saved) {
    const SavedAttention result = TakeOrCompute(saved, [&] { return Compute(q_NHD, k_MKD, v_MKD, shape); });
    context->save_for_backward({q_NHD, k_MKD, v_MKD, result.out_NHD, result.lse});
    SaveInContext(context, std::move(shape));
    return result.out_NHD;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &q_NHD = saved[0], &k_MKD = saved[1], &v_MKD = saved[2];
    const Tensor dout_NHD = gradients[0].contiguous();
    Tensor dq_NHD = torch::empty_like(q_NHD);
    Tensor dk_HMD = torch::zeros({q_NHD.size(1), k_MKD.size(0), k_MKD.size(2)}, torch::kFloat);
    Tensor dv_HMD = torch::zeros_like(dk_HMD);
    WithType(q_NHD.scalar_type(), [&](auto type) {
      using T = decltype(type);
      const Backward<T> b{MakeCall<T>(SavedInContext<AttentionShape>(context), q_NHD, k_MKD, v_MKD),
                          Data<T>(saved[3]),
                          Data<float>(saved[4]),
                          Data<T>(dout_NHD),
                          MutableData<T>(dq_NHD),
                          MutableData<float>(dk_HMD),
                          MutableData<float>(dv_HMD),
                          k_MKD.size(0)};
      b.call.ForEach([&](const AttentionSegment& s, int64_t head) { BackwardHead(b, s, head); });
    });
    const auto add = [&](const Tensor& parts_HMD) {
      return AddGroups(parts_HMD, k_MKD.size(1), k_MKD.scalar_type());
    };
    Tensor dsinks_H;
    if (context->needs_input_grad(3)) {
      dsinks_H = SinkGradient(SavedInContext<AttentionShape>(context), {saved[3], saved[4]}, dout_NHD);
    }
    return {dq_NHD, add(dk_HMD), add(dv_HMD), dsinks_H, Tensor(), Tensor()};
  }

 private:
  static SavedAttention Compute(const Tensor& q_NHD, const Tensor& k_MKD, const Tensor& v_MKD,
                                const AttentionShape& shape) {
    SavedAttention result{torch::empty_like(q_NHD),
                          torch::empty({q_NHD.size(1), q_NHD.size(0)}, torch::kFloat)};
    WithType(q_NHD.scalar_type(), [&](auto type) {
      using T = decltype(type);
      const Call<T> call = MakeCall<T>(shape, q_NHD, k_MKD, v_MKD);
      const ForwardOut<T> to{MutableData<T>(result.out_NHD), MutableData<float>(result.lse)};
      call.ForEach([&](const AttentionSegment& s, int64_t head) { ForwardHead(call, s, head, to); });
    });
    if (shape.sinks_H != nullptr) AddSinks(shape, result);
    return result;
  }
};

}  // namespace

AttentionShape MakeAttentionShape(std::vector<AttentionSegment> segments, double scale, at::Device device) {
  AttentionShape shape{.segments = std::make_shared<const std::vector<AttentionSegment>>(std::move(segments)),
                       .scale = scale};
  if (!device.is_cpu()) shape.bounds = MakeSegmentBounds(*shape.segments, device);
  return shape;
}

Tensor CausalAttention(const Tensor& q_NHD, const Tensor& k_MKD, const Tensor& v_MKD,
                       const AttentionShape& shape, SavedAttention* saved) {
  FT_CHECK(q_NHD.size(1) % k_MKD.size(1) == 0)
      << q_NHD.size(1) << " heads, " << k_MKD.size(1) << " key heads";
  FT_CHECK(q_NHD.size(2) % 2 == 0) << "head size " << q_NHD.size(2);
  if (!q_NHD.is_cpu()) {
    return NeedsPlainAttention(shape) ? PlainAttention(q_NHD, k_MKD, v_MKD, shape)
                                      : FusedAttention(q_NHD, k_MKD, v_MKD, shape, saved);
  }
  const at::ScalarType type = q_NHD.scalar_type();
  if (FewRowsScope::Active() && q_NHD.size(0) <= kMostFewRows) {
    SavedAttention result = FewRowsAttention(q_NHD, k_MKD, v_MKD, shape);
    if (shape.sinks_H != nullptr) AddSinks(shape, result);
    return result.out_NHD.to(type);
  }
  const at::ScalarType work = type == at::kBFloat16 && !MultipliesBf16() ? at::kFloat : type;
  return AttentionFunction::apply(q_NHD.contiguous().to(work), k_MKD.contiguous().to(work),
                                  v_MKD.contiguous().to(work), SinkHandle(shape), shape, saved)
      .to(type);
}

}  // namespace ft::ops
