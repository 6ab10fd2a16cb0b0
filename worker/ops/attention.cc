#include "worker/ops/attention.h"

#include <algorithm>
#include <limits>

#include "core/base/check.h"
#include "worker/ops/held.h"

namespace ft::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Queries of one product. Keys right of a tile's last query are not touched, so tiles halve the work of long
// segments.
constexpr int64_t kTile = 256;

// One tile of one segment: query rows [query, +count) see `keys` key rows from `key` on; the last row sees
// all of them.
struct Tile {
  int64_t query, count, key, keys;
};

std::vector<Tile> Tiles(const AttentionSegment& segment) {
  std::vector<Tile> tiles;
  for (int64_t start = 0; start < segment.queries; start += kTile) {
    const int64_t count = std::min(kTile, segment.queries - start);
    tiles.push_back({segment.first_query + start, count, segment.first_key,
                     segment.keys - segment.queries + start + count});
  }
  return tiles;
}

// Rows of one tile with the query heads of a key head side by side, in float32: [K, G*count, D].
Tensor FoldGroups(const Tensor& rows_NHD, const Tile& tile, int64_t key_heads) {
  const int64_t groups = rows_NHD.size(1) / key_heads, size = rows_NHD.size(2);
  return rows_NHD.narrow(0, tile.query, tile.count)
      .view({tile.count, key_heads, groups, size})
      .permute({1, 2, 0, 3})
      .reshape({key_heads, groups * tile.count, size})
      .to(torch::kFloat);
}

// The way back, as [count, H, D].
Tensor UnfoldGroups(const Tensor& folded, const Tile& tile, int64_t heads) {
  const int64_t key_heads = folded.size(0), size = folded.size(2);
  return folded.view({key_heads, heads / key_heads, tile.count, size})
      .permute({2, 0, 1, 3})
      .reshape({tile.count, heads, size});
}

// A view of the keys (or values) that a tile sees: [K, keys, D].
Tensor KeyRows(const Tensor& rows_MKD, const Tile& tile) {
  return rows_MKD.narrow(0, tile.key, tile.keys).transpose(0, 1);
}

// [K, G*count, keys].
Tensor Probabilities(const Tensor& q_folded, const Tensor& k_KMD, const Tile& tile, double scale) {
  Tensor scores = at::bmm(q_folded, k_KMD.transpose(1, 2)).mul_(scale);
  if (tile.count > 1) {
    const int64_t seen = tile.keys - tile.count;  // Keys that all rows of the tile see.
    const Tensor future = torch::ones({tile.count, tile.count}, torch::kBool).triu_(1);
    scores.view({-1, tile.count, tile.keys})
        .narrow(2, seen, tile.count)
        .masked_fill_(future, -std::numeric_limits<float>::infinity());
  }
  return at::softmax(scores, -1);
}

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& q_NHD, const Tensor& k_MKD,
                        const Tensor& v_MKD, AttentionShape shape) {
    Tensor out_NHD = torch::empty_like(q_NHD);
    const Tensor k_float = k_MKD.to(torch::kFloat), v_float = v_MKD.to(torch::kFloat);
    for (const AttentionSegment& segment : *shape.segments) {
      for (const Tile& tile : Tiles(segment)) {
        const Tensor p =
            Probabilities(FoldGroups(q_NHD, tile, k_MKD.size(1)), KeyRows(k_float, tile), tile, shape.scale);
        const Tensor out = at::bmm(p, KeyRows(v_float, tile));
        out_NHD.narrow(0, tile.query, tile.count).copy_(UnfoldGroups(out, tile, q_NHD.size(1)));
      }
    }
    context->save_for_backward({q_NHD, k_MKD, v_MKD});
    Hold(context, std::move(shape));
    return out_NHD;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &q_NHD = saved[0], &k_MKD = saved[1], &v_MKD = saved[2];
    const AttentionShape& shape = GetHeld<AttentionShape>(context);
    const Tensor dout_NHD = gradients[0].contiguous();
    const at::ScalarType type = q_NHD.scalar_type();
    Tensor dq_NHD = torch::empty_like(q_NHD);
    const Tensor k_float = k_MKD.to(torch::kFloat), v_float = v_MKD.to(torch::kFloat);
    // Several tiles add to the same keys, in tile order.
    Tensor dk_MKD = torch::zeros(k_MKD.sizes(), torch::kFloat),
           dv_MKD = torch::zeros(v_MKD.sizes(), torch::kFloat);
    for (const AttentionSegment& segment : *shape.segments) {
      for (const Tile& tile : Tiles(segment)) {
        const Tensor q = FoldGroups(q_NHD, tile, k_MKD.size(1)),
                     dout = FoldGroups(dout_NHD, tile, k_MKD.size(1));
        const Tensor k = KeyRows(k_float, tile), v = KeyRows(v_float, tile);
        const Tensor p = Probabilities(q, k, tile, shape.scale);
        KeyRows(dv_MKD, tile).add_(at::bmm(p.transpose(1, 2), dout));
        const Tensor dp = at::bmm(dout, v.transpose(1, 2));
        const Tensor ds = at::_softmax_backward_data(dp, p, -1, torch::kFloat).mul_(shape.scale);
        KeyRows(dk_MKD, tile).add_(at::bmm(ds.transpose(1, 2), q));
        dq_NHD.narrow(0, tile.query, tile.count).copy_(UnfoldGroups(at::bmm(ds, k), tile, q_NHD.size(1)));
      }
    }
    return {dq_NHD, dk_MKD.to(type), dv_MKD.to(type), Tensor()};
  }
};

}  // namespace

Tensor CausalAttention(const Tensor& q_NHD, const Tensor& k_MKD, const Tensor& v_MKD,
                       const AttentionShape& shape) {
  FT_CHECK(q_NHD.size(1) % k_MKD.size(1) == 0)
      << q_NHD.size(1) << " heads, " << k_MKD.size(1) << " key heads";
  return AttentionFunction::apply(q_NHD.contiguous(), k_MKD.contiguous(), v_MKD.contiguous(), shape);
}

}  // namespace ft::ops
