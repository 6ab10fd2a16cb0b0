// Sinks, one more score a head, against the softmax written out; and the gate whose inputs are cut, against LibTorch's own gradient.
#include <ATen/Parallel.h>

#include <vector>

#include "gtest/gtest.h"
#include "worker/model/ops/attention.h"
#include "worker/model/ops/epilogue.h"
#include "worker/model/ops/plain_attention.h"
#include "worker/model/ops/tensor_slot_fixture.h"

namespace ft::ops {
namespace {

using torch::Tensor;

constexpr int64_t kHeads = 4, kKeyHeads = 2, kSize = 6, kRows = 150;

struct Inputs {
  Tensor q, k, v, dout;
};

Inputs Random() {
  at::Generator generator = at::detail::createCPUGenerator(11);
  const auto heads = [&](int64_t count) {
    return torch::randn({kRows, count, kSize}, generator).requires_grad_();
  };
  return {heads(kHeads), heads(kKeyHeads), heads(kKeyHeads), torch::randn({kRows, kHeads, kSize}, generator)};
}

// Two samples, one of more than a tile, under a window.
AttentionShape Shape(const WeightSlot& sinks) {
  AttentionShape shape = MakeAttentionShape({{0, 110, 0, 110}, {110, 40, 110, 40}}, 0.5, at::kCPU);
  shape.window = 70;
  shape.sinks_H = &sinks;
  return shape;
}

TEST(Sinks, AttentionAndItsGradientsAreThoseOfTheSoftmaxWrittenOut) {
  const Inputs in = Random();
  const TensorSlot sinks("sinks", torch::tensor({-1.0f, 0.5f, 2.0f, 4.0f}), /*trainable=*/true);
  const AttentionShape shape = Shape(sinks);
  const std::vector<Tensor> inputs = {in.q, in.k, in.v, sinks.handle()};
  const Tensor out = CausalAttention(in.q, in.k, in.v, shape),
               plain = PlainAttention(in.q, in.k, in.v, shape);
  EXPECT_TRUE(torch::allclose(out, plain, 1e-4, 1e-5));
  const auto gradients = torch::autograd::grad({out}, inputs, {in.dout}),
             expected = torch::autograd::grad({plain}, inputs, {in.dout});
  for (size_t i = 0; i < inputs.size(); ++i)
    EXPECT_TRUE(torch::allclose(gradients[i], expected[i], 1e-4, 1e-5)) << i;
}

TEST(Sinks, OneThatIsLowChangesNothing) {
  const Inputs in = Random();
  const TensorSlot low("sinks", torch::full({kHeads}, -1e4f), /*trainable=*/false);
  AttentionShape without = Shape(low);
  without.sinks_H = nullptr;
  EXPECT_TRUE(torch::allclose(CausalAttention(in.q, in.k, in.v, Shape(low)),
                              CausalAttention(in.q, in.k, in.v, without), 1e-6, 1e-7));
}

TEST(Sinks, AnyNumberOfThreadsGivesTheSameBits) {
  const Inputs in = Random();
  const TensorSlot sinks("sinks", torch::tensor({-1.0f, 0.5f, 2.0f, 4.0f}), /*trainable=*/true);
  std::vector<Tensor> first;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    const Tensor out = CausalAttention(in.q, in.k, in.v, Shape(sinks));
    std::vector<Tensor> results = torch::autograd::grad({out}, {in.q, in.v, sinks.handle()}, {in.dout});
    results.push_back(out.detach());
    if (first.empty()) first = results;
    for (size_t i = 0; i < results.size(); ++i) EXPECT_TRUE(at::equal(results[i], first[i])) << threads << i;
  }
  at::set_num_threads(1);
}

TEST(ClampedGate, ValuesAndGradientsAreThoseOfTheFormula) {
  at::Generator generator = at::detail::createCPUGenerator(12);
  const Tensor gate = (torch::randn({9, 7}, generator) * 2).requires_grad_(),
               up = (torch::randn({9, 7}, generator) * 2).requires_grad_(),
               dy = torch::randn({9, 7}, generator);
  const Tensor cut = gate.clamp_max(1.5), both = up.clamp(-1.5, 1.5);
  const Tensor expected = (both + 1) * cut * at::sigmoid(cut * 1.702);
  const ClampedGateEpilogue epilogue(1.5);
  std::vector<Tensor> saved;
  const Tensor y = epilogue.Forward({gate.detach(), up.detach()}, at::kFloat, &saved)[0];
  EXPECT_TRUE(torch::allclose(y, expected, 1e-6, 1e-6));
  const auto wanted = torch::autograd::grad({expected}, {gate, up}, {dy});
  const auto found = epilogue.Backward({dy}, saved);
  for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(torch::allclose(found[i], wanted[i], 1e-5, 1e-6)) << i;
}

}  // namespace
}  // namespace ft::ops
