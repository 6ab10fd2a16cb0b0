// Attention of few queries beside the softmax written out, for all that changes scores, and who gets it.
#include "worker/model/ops/few_rows_attention.h"

#include <ATen/Parallel.h>

#include <memory>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "worker/model/ops/plain_attention.h"
#include "worker/model/ops/row_gemm.h"
#include "worker/model/ops/tensor_slot_fixture.h"

namespace ft::ops {
namespace {

using torch::Tensor;

constexpr int64_t kHeads = 6, kKeyHeads = 2;

struct Rows {
  Tensor q, k, v;
};

Rows Random(int64_t queries, int64_t keys, int64_t size, at::ScalarType type = at::kFloat) {
  at::Generator generator = at::detail::createCPUGenerator(static_cast<uint64_t>(keys + size));
  const auto heads = [&](int64_t rows, int64_t count) {
    return torch::randn({rows, count, size}, generator).to(type);
  };
  return {heads(queries, kHeads), heads(keys, kKeyHeads), heads(keys, kKeyHeads)};
}

AttentionShape Shape(int64_t queries, int64_t keys) {
  return MakeAttentionShape({{0, queries, 0, keys}}, 0.25, at::kCPU);
}

// Of float32 copies of the rows.
Tensor WrittenOut(const Rows& rows, const AttentionShape& shape) {
  return PlainAttention(rows.q.to(at::kFloat), rows.k.to(at::kFloat), rows.v.to(at::kFloat), shape);
}

class FewRowsAttentionTest : public ::testing::Test {
 protected:
  void TearDown() override { at::set_num_threads(1); }

  static void ExpectIsTheSoftmax(const Rows& rows, const AttentionShape& shape) {
    const FewRowsScope scope;
    const Tensor out = CausalAttention(rows.q, rows.k, rows.v, shape);
    EXPECT_EQ(out.scalar_type(), rows.q.scalar_type());
    const double tolerance = out.scalar_type() == at::kBFloat16 ? 5e-3 : 1e-5;
    EXPECT_TRUE(torch::allclose(out.to(at::kFloat), WrittenOut(rows, shape), tolerance, tolerance))
        << (out.to(at::kFloat) - WrittenOut(rows, shape)).abs().max().item<float>();
  }
};

TEST_F(FewRowsAttentionTest, IsTheSoftmaxWrittenOut) {
  for (const auto& [queries, keys] :
       {std::pair<int64_t, int64_t>{1, 1}, {1, 77}, {1, 1300}, {3, 600}, {8, 8}}) {
    for (const int64_t size : {6, 64, 80}) {
      for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
        SCOPED_TRACE(::testing::Message() << queries << " of " << keys << ", " << size << ", " << type);
        ExpectIsTheSoftmax(Random(queries, keys, size, type), Shape(queries, keys));
      }
    }
  }
}

TEST_F(FewRowsAttentionTest, WindowsCapsSlopesAndSinksAreTakenIn) {
  const TensorSlot sinks("sinks", torch::tensor({-1.0f, 0.5f, 2.0f, 4.0f, 0.0f, 1.0f}), /*trainable=*/false);
  for (const int64_t queries : {1, 5}) {
    SCOPED_TRACE(queries);
    const Rows rows = Random(queries, 700, 16);
    AttentionShape window = Shape(queries, 700), cap = window, slopes = window, with_sinks = window;
    window.window = 70;
    ExpectIsTheSoftmax(rows, window);
    window.window = 1;
    ExpectIsTheSoftmax(rows, window);
    cap.cap = 2;
    ExpectIsTheSoftmax(rows, cap);
    slopes.slopes =
        std::make_shared<const std::vector<float>>(std::vector<float>{0.5f, 0.25f, 0.1f, 0.05f, 0, 1});
    ExpectIsTheSoftmax(rows, slopes);
    with_sinks.sinks_H = &sinks;
    ExpectIsTheSoftmax(rows, with_sinks);
  }
}

TEST_F(FewRowsAttentionTest, SegmentsSeeTheirOwnKeysAndThreadsChangeNoBit) {
  const Rows rows = Random(3, 500, 32);
  const AttentionShape shape = MakeAttentionShape({{0, 1, 0, 200}, {1, 2, 200, 300}}, 0.25, at::kCPU);
  const FewRowsScope scope;
  at::set_num_threads(1);
  const Tensor out = CausalAttention(rows.q, rows.k, rows.v, shape);
  const Tensor second = CausalAttention(rows.q.narrow(0, 1, 2), rows.k.narrow(0, 200, 300),
                                        rows.v.narrow(0, 200, 300), Shape(2, 300));
  EXPECT_TRUE(torch::equal(out.narrow(0, 1, 2), second));
  at::set_num_threads(4);
  EXPECT_TRUE(torch::equal(CausalAttention(rows.q, rows.k, rows.v, shape), out));
}

// Training, and prompts of many rows, are tiles: their bits are promised.
TEST_F(FewRowsAttentionTest, OnlyFewRowsOfWhoAsksAreComputedThisWay) {
  const Rows rows = Random(1, 300, 64), many = Random(kMostFewRows + 1, 300, 64);
  const AttentionShape one = Shape(1, 300), shape = Shape(kMostFewRows + 1, 300);
  const Tensor tiles = CausalAttention(rows.q, rows.k, rows.v, one),
               tiles_of_many = CausalAttention(many.q, many.k, many.v, shape);
  const FewRowsScope scope;
  EXPECT_FALSE(torch::equal(CausalAttention(rows.q, rows.k, rows.v, one), tiles));
  EXPECT_TRUE(torch::equal(CausalAttention(many.q, many.k, many.v, shape), tiles_of_many));
}

}  // namespace
}  // namespace ft::ops
