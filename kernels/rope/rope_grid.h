// Rotary position embedding as a kernel body (kernels/grid/grid.h), bit-equal to Rope(): heads of two kinds, of unlike number,
// that turn by the same angles.
#pragma once

#include "kernels/grid/grid.h"
#include "kernels/rope/rope.h"

namespace ft::kernels {

// One thread rotates one pair, or copies two elements behind the pairs, of the queries or of the keys of a row.
template <typename T>
struct RopeBody {
  static constexpr int kThreads = 256;
  static constexpr int kPhases = 1;
  using Shared = NoSharedMemory;

  RopeShape shape;
  RopeAngles angles;
  int64_t rows = 0;
  RopeHeads<T> queries;
  RopeHeads<T> keys;  // No heads: there are none.

  template <typename F>
  void Pointers(F f) {
    f(angles.cosine), f(angles.sine), f(angles.position), f(queries.x), f(queries.y), f(keys.x), f(keys.y);
  }
  FT_HOST_DEVICE int64_t Heads() const { return queries.heads + keys.heads; }
  FT_HOST_DEVICE int64_t Threads() const { return rows * Heads() * (shape.head_size / 2); }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(Threads(), kThreads); }

  FT_HOST_DEVICE void Run(int, const GridPoint& at, Shared&) const {
    if (at.index() >= Threads()) return;
    const int64_t half = shape.head_size / 2, pairs = shape.Pairs();
    const int64_t i = at.index() % half, row = at.index() / half / Heads();
    const int64_t in_row = at.index() / half % Heads();
    const bool is_query = in_row < queries.heads;
    const int64_t head = (is_query ? in_row : in_row - queries.heads) * shape.head_size;
    const T* in = head + (is_query ? queries.Row(shape, row) : keys.Row(shape, row));
    T* out = head + (is_query ? queries.RowOfY(shape, row) : keys.RowOfY(shape, row));
    if (i >= pairs) {
      out[2 * i] = in[2 * i];
      out[2 * i + 1] = in[2 * i + 1];
      return;
    }
    const int64_t angle = angles.position[row] * pairs + i;
    const int64_t first = shape.First(i), second = first + shape.Apart();
    const RopePair rotated = RotatePair({ToFloat(in[first]), ToFloat(in[second])}, angles.cosine[angle],
                                        angles.direction * angles.sine[angle]);
    out[first] = FromFloat<T>(rotated.first);
    out[second] = FromFloat<T>(rotated.second);
  }
};

}  // namespace ft::kernels
