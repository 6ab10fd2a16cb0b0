// LibTorch's fused attention on the simulated device: against attention by hand with autograd, and what the real kernels demand.
#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simdevice/test_device.h"

namespace ft::simdevice {
namespace {

using testing::HasSubstr;
using torch::Tensor;

constexpr double kScale = 0.3;

// Deterministic algorithms, as the trainer sets them.
class SimDeviceAttention : public testing::Test {
 protected:
  void SetUp() override {
    before_ = at::globalContext().deterministicAlgorithms();
    at::globalContext().setDeterministicAlgorithms(true, false);
    torch::manual_seed(5);
  }
  void TearDown() override { at::globalContext().setDeterministicAlgorithms(before_, false); }

 private:
  bool before_ = false;
};

struct Inputs {
  Tensor q, k, v, dout;             // Rows x heads x size, on the host.
  std::vector<int32_t> query, key;  // Where segments end, from 0.
};

Inputs Draw(int64_t heads, int64_t key_heads, int64_t size, at::ScalarType type, std::vector<int32_t> query,
            std::vector<int32_t> key) {
  const auto draw = [&](int64_t rows, int64_t number) { return torch::randn({rows, number, size}).to(type); };
  return {draw(query.back(), heads),
          draw(key.back(), key_heads),
          draw(key.back(), key_heads),
          draw(query.back(), heads),
          query,
          key};
}

// One segment by hand: heads first, the last query sees the last key.
Tensor ByHand(const Tensor& q, const Tensor& k, const Tensor& v) {
  const int64_t groups = q.size(1) / k.size(1);
  const Tensor keys = k.repeat_interleave(groups, 1).transpose(0, 1),
               values = v.repeat_interleave(groups, 1).transpose(0, 1);
  const Tensor scores = at::matmul(q.transpose(0, 1), keys.transpose(1, 2)) * kScale;
  const Tensor seen = at::ones({q.size(0), k.size(0)}, at::kBool).tril(k.size(0) - q.size(0));
  return at::matmul(at::softmax(scores.masked_fill(~seen, -1e30), -1), values).transpose(0, 1);
}

struct Results {
  Tensor out, dq, dk, dv;
};

Results Expected(const Inputs& in) {
  const auto leaf = [](const Tensor& t) { return t.to(at::kDouble).requires_grad_(); };
  const Tensor q = leaf(in.q), k = leaf(in.k), v = leaf(in.v);
  std::vector<Tensor> parts;
  for (size_t i = 0; i + 1 < in.query.size(); ++i) {
    const auto part = [i](const Tensor& t, const std::vector<int32_t>& ends) {
      return t.slice(0, ends[i], ends[i + 1]);
    };
    parts.push_back(ByHand(part(q, in.query), part(k, in.key), part(v, in.key)));
  }
  const Tensor out = at::cat(parts);
  const auto gradients = torch::autograd::grad({out}, {q, k, v}, {in.dout.to(at::kDouble)});
  return {out.detach(), gradients[0], gradients[1], gradients[2]};
}

Tensor Ends(const std::vector<int32_t>& ends) { return torch::tensor(ends, at::kInt).to(Gpu()); }

int64_t Longest(const std::vector<int32_t>& ends) {
  int64_t longest = 0;
  for (size_t i = 0; i + 1 < ends.size(); ++i) longest = std::max<int64_t>(longest, ends[i + 1] - ends[i]);
  return longest;
}

Results Flash(const Inputs& in) {
  const Tensor q = in.q.to(Gpu()), k = in.k.to(Gpu()), v = in.v.to(Gpu()), query = Ends(in.query),
               key = Ends(in.key);
  const auto [out, lse, state, unused, mask] =
      at::_flash_attention_forward(q, k, v, query, key, Longest(in.query), Longest(in.key), 0.0, true, false,
                                   std::optional<double>(kScale));
  EXPECT_EQ(lse.sizes(), (std::vector<int64_t>{q.size(1), q.size(0)}));
  const auto [dq, dk, dv] =
      at::_flash_attention_backward(in.dout.to(Gpu()), q, k, v, out, lse, query, key, Longest(in.query),
                                    Longest(in.key), 0.0, true, state, unused, std::optional<double>(kScale));
  return {out.cpu(), dq.cpu(), dk.cpu(), dv.cpu()};
}

double Gap(const Tensor& actual, const Tensor& expected) {
  return ((actual.to(at::kDouble) - expected).abs().max() / expected.abs().max()).item<double>();
}

void ExpectNear(const Results& actual, const Results& expected, double limit) {
  EXPECT_LT(Gap(actual.out, expected.out), limit);
  EXPECT_LT(Gap(actual.dq, expected.dq), limit);
  EXPECT_LT(Gap(actual.dk, expected.dk), limit);
  EXPECT_LT(Gap(actual.dv, expected.dv), limit);
}

TEST_F(SimDeviceAttention, FlashAgreesWithAttentionByHand) {
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    const double limit = type == at::kBFloat16 ? 0.03 : 0.004;  // A few units of the type.
    for (const Inputs& in :
         {Draw(4, 4, 16, type, {0, 7, 8, 20}, {0, 7, 8, 20}), Draw(6, 2, 64, type, {0, 33}, {0, 33}),
          Draw(4, 2, 8, type, {0, 1, 5}, {0, 9, 15})}) {  // Longer keys: a cache.
      ExpectNear(Flash(in), Expected(in), limit);
    }
  }
}

TEST_F(SimDeviceAttention, FlashTwiceIsTheSameBits) {
  const Inputs in = Draw(4, 2, 16, at::kBFloat16, {0, 7, 20}, {0, 7, 20});
  const Results first = Flash(in), second = Flash(in);
  EXPECT_TRUE(at::equal(first.out, second.out) && at::equal(first.dq, second.dq) &&
              at::equal(first.dk, second.dk));
}

TEST_F(SimDeviceAttention, FlashAllocatesItsDeterministicBuffers) {
  const Inputs in = Draw(4, 4, 64, at::kBFloat16, {0, 100}, {0, 100});
  Device::At(0).ResetPeak();
  const size_t before = Device::At(0).memory_stats().allocated;
  Flash(in);
  const size_t splits = (132 + 3) / 4;
  EXPECT_GT(Device::At(0).memory_stats().peak - before, splits * (100 + 128) * 4 * 64 * 4);
}

TEST_F(SimDeviceAttention, WhatFlashDemands) {
  const auto refusal = [](const Inputs& in) { return Thrown([&] { Flash(in); }); };
  EXPECT_THAT(refusal(Draw(4, 4, 16, at::kFloat, {0, 7}, {0, 7})), HasSubstr("only support fp16 and bf16"));
  EXPECT_THAT(refusal(Draw(4, 4, 12, at::kBFloat16, {0, 7}, {0, 7})), HasSubstr("multiple of 8"));
  EXPECT_THAT(refusal(Draw(4, 4, 264, at::kBFloat16, {0, 7}, {0, 7})), HasSubstr("at most 256"));
  EXPECT_THAT(refusal(Draw(4, 3, 16, at::kBFloat16, {0, 7}, {0, 7})),
              HasSubstr("must divide number of heads"));
  const Tensor x = torch::randn({7, 4, 16}).to(at::kBFloat16).to(Gpu());
  const auto forward = [&](const Tensor& q, const Tensor& k, const Tensor& ends, double dropout = 0) {
    return Thrown([&] {
      at::_flash_attention_forward(q, k, x, ends, ends, 7, 7, dropout, true, false,
                                   std::optional<double>(kScale));
    });
  };
  const Tensor ends = Ends({0, 7});
  EXPECT_EQ(forward(x, x, ends), "");
  EXPECT_THAT(forward(x, x, ends.to(at::kLong)), HasSubstr("must have dtype int32"));
  EXPECT_THAT(forward(x, x, ends.cpu()), HasSubstr("must be on CUDA device"));
  EXPECT_THAT(forward(x, x, Ends({0, 3, 7}).slice(0, 0, 3, 2)), HasSubstr("must be contiguous"));
  EXPECT_THAT(forward(x.transpose(0, 2).contiguous().transpose(0, 2), x, ends),
              HasSubstr("contiguous last dimension"));
  EXPECT_THAT(forward(x, x.to(at::kHalf), ends), HasSubstr("must have the same dtype"));
  EXPECT_THAT(forward(x, x.cpu(), ends), HasSubstr("must be on CUDA device"));
  EXPECT_THAT(forward(x, x, ends, 0.1), HasSubstr("not emulated"));
  at::globalContext().setDeterministicAlgorithms(false, false);
  EXPECT_THAT(refusal(Draw(4, 4, 16, at::kBFloat16, {0, 7}, {0, 7})),
              HasSubstr("without deterministic algorithms"));
}

TEST_F(SimDeviceAttention, RowsOutsideOfSegmentsStayAsTheyWere) {
  const Tensor x = torch::randn({7, 4, 16}).to(at::kBFloat16).to(Gpu());
  const Tensor ends = Ends({0, 5});
  const Tensor out = std::get<0>(at::_flash_attention_forward(x, x, x, ends, ends, 5, 5, 0.0, true, false,
                                                              std::optional<double>(kScale)))
                         .cpu();
  EXPECT_TRUE(out.narrow(0, 0, 5).isfinite().all().item<bool>());
  EXPECT_TRUE(out.narrow(0, 5, 2).isnan().all().item<bool>());
  const Tensor short_grid =
      std::get<0>(at::_flash_attention_forward(x, x, x, Ends({0, 7}), Ends({0, 7}), 6, 7, 0.0, true, false,
                                               std::optional<double>(kScale)))
          .cpu();
  EXPECT_TRUE(short_grid[6].isnan().all().item<bool>());  // max_q is smaller than the longest segment.
}

Results Efficient(const Inputs& in) {
  const int64_t groups = in.q.size(1) / in.k.size(1);
  const auto expanded = [&](const Tensor& x) {
    return x.to(Gpu()).repeat_interleave(groups, 1).unsqueeze(0);
  };
  const Tensor q = in.q.to(Gpu()).unsqueeze(0), k = expanded(in.k), v = expanded(in.v);
  const Tensor query = Ends(in.query), key = Ends(in.key);
  const auto [out, lse, seed, offset, longest_q, longest_k] = at::_efficient_attention_forward(
      q, k, v, {}, query, key, Longest(in.query), Longest(in.key), 0.0, /*custom_mask_type=*/2, true, kScale);
  EXPECT_EQ(lse.size(0), query.numel() - 1);
  EXPECT_EQ(lse.size(2) % 32, 0);
  EXPECT_EQ(longest_q, Longest(in.query));
  EXPECT_EQ(longest_k, Longest(in.key));
  const auto [dq, dk, dv, dbias] =
      at::_efficient_attention_backward(in.dout.to(Gpu()).unsqueeze(0), q, k, v, {}, out, query, key,
                                        Longest(in.query), Longest(in.key), lse, 0.0, seed, offset,
                                        /*custom_mask_type=*/2, false, kScale, /*num_splits_key=*/1);
  const auto joined = [&](const Tensor& x) {
    return x[0].view({x.size(1), in.k.size(1), groups, x.size(3)}).sum(2).cpu();
  };
  return {out[0].cpu(), dq[0].cpu(), joined(dk), joined(dv)};
}

TEST_F(SimDeviceAttention, EfficientAgreesWithAttentionByHand) {
  for (const Inputs& in :
       {Draw(4, 4, 16, at::kFloat, {0, 7, 8, 20}, {0, 7, 8, 20}),
        Draw(6, 2, 64, at::kFloat, {0, 33}, {0, 33}), Draw(4, 2, 8, at::kFloat, {0, 1, 5}, {0, 9, 15}),
        Draw(2, 2, 300, at::kFloat, {0, 5}, {0, 5})}) {
    ExpectNear(Efficient(in), Expected(in), 1e-5);
  }
  const Inputs half = Draw(4, 2, 16, at::kHalf, {0, 7, 20}, {0, 7, 20});
  ExpectNear(Efficient(half), Expected(half), 0.004);
}

TEST_F(SimDeviceAttention, EfficientOverDenseBatches) {
  const Inputs in = Draw(4, 4, 16, at::kFloat, {0, 5, 10}, {0, 5, 10});
  const auto batches = [](const Tensor& x) { return x.view({2, 5, 4, 16}).to(Gpu()); };
  const auto [out, lse, seed, offset, longest_q, longest_k] =
      at::_efficient_attention_forward(batches(in.q), batches(in.k), batches(in.v), {}, {}, {}, {}, {}, 0.0,
                                       /*custom_mask_type=*/1, false, kScale);
  EXPECT_LT(Gap(out.view({10, 4, 16}).cpu(), Expected(in).out), 1e-5);
  EXPECT_EQ(lse.size(2), 0);
}

TEST_F(SimDeviceAttention, WhatEfficientDemands) {
  const Tensor x = torch::randn({1, 7, 4, 16}).to(Gpu()), ends = Ends({0, 7});
  const auto forward = [&](const Tensor& q, const Tensor& k, const Tensor& e,
                           std::optional<int64_t> longest = 7) {
    return Thrown(
        [&] { at::_efficient_attention_forward(q, k, k, {}, e, e, longest, 7, 0.0, 2, true, kScale); });
  };
  EXPECT_EQ(forward(x, x, ends), "");
  EXPECT_THAT(forward(x, x.narrow(2, 0, 2), ends), HasSubstr("heads of query"));
  EXPECT_THAT(forward(x, x, ends.to(at::kLong)), HasSubstr("int32"));
  EXPECT_THAT(forward(x, x, ends.cpu()), HasSubstr("must be a CUDA tensor"));
  EXPECT_THAT(forward(x, x, ends, {}), HasSubstr("max_seqlen_q is required"));
  EXPECT_THAT(forward(x, x.to(at::kHalf), ends), HasSubstr("dtype of query"));
  EXPECT_THAT(forward(x.to(at::kDouble), x.to(at::kDouble), ends), HasSubstr("Only fp32, half & bf16"));
  const Tensor odd = torch::randn({1, 7, 4, 6}).to(Gpu());
  EXPECT_THAT(forward(odd, odd, ends), HasSubstr("no kernel found to launch"));
  const Tensor two = torch::randn({2, 7, 4, 16}).to(Gpu());
  EXPECT_THAT(forward(two, two, ends), HasSubstr("batch_size=1"));
}

}  // namespace
}  // namespace ft::simdevice
