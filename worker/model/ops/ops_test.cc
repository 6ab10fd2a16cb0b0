// Operations over slots against plain autograd, and what they save.
#include <ATen/Parallel.h>

#include <atomic>
#include <cmath>
#include <memory>

#include "gtest/gtest.h"
#include "worker/model/ops/attention.h"
#include "worker/model/ops/dora.h"
#include "worker/model/ops/int8.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/linear.h"
#include "worker/model/ops/loss_head.h"
#include "worker/model/ops/micro_gemm.h"
#include "worker/model/ops/nf4.h"
#include "worker/model/ops/norm.h"
#include "worker/model/ops/random.h"
#include "worker/model/ops/saved_tensor_guard.h"
#include "worker/model/ops/tensor_slot_fixture.h"

namespace ft::ops {
namespace {

using torch::Tensor;

std::shared_ptr<TensorSlot> Slot(const char* name, at::IntArrayRef shape, bool trainable) {
  return std::make_shared<TensorSlot>(name, torch::randn(shape) * 0.3, trainable);
}

Tensor Leaf(at::IntArrayRef shape) { return torch::randn(shape).requires_grad_(); }

void ExpectClose(const Tensor& actual, const Tensor& expected, double tolerance = 1e-5) {
  ASSERT_EQ(actual.sizes(), expected.sizes());
  EXPECT_LE((actual - expected).abs().max().item<double>(),
            tolerance * (1 + expected.abs().max().item<double>()));
}

class Ops : public ::testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(1);
    torch::manual_seed(1);
  }
};

TEST_F(Ops, LinearEqualsPlainAutograd) {
  for (const auto& [rows, inputs, outputs] :
       {std::tuple{1, 3, 5}, std::tuple{7, 16, 9}, std::tuple{33, 64, 48}}) {
    const auto weight = Slot("w", {outputs, inputs}, true);
    const auto bias = Slot("b", {outputs}, true);
    const Tensor x = Leaf({rows, inputs}), dy = torch::randn({rows, outputs});
    const Tensor y = Linear(x, {.weight_OI = weight.get(), .bias_O = bias.get()});
    const auto gradients = torch::autograd::grad({y}, {x, weight->handle(), bias->handle()}, {dy});
    const Tensor w = weight->value().clone().requires_grad_(), b = bias->value().clone().requires_grad_();
    const Tensor plain = at::linear(x, w, b);
    const auto expected = torch::autograd::grad({plain}, {x, w, b}, {dy});
    ExpectClose(y, plain, 1e-6);
    for (size_t i = 0; i < expected.size(); ++i) ExpectClose(gradients[i], expected[i], 1e-6);
  }
}

TEST_F(Ops, FrozenLinearSavesOnlyItsSlot) {
  const auto weight = Slot("frozen", {8, 6}, false);
  const auto a = Slot("a", {2, 6}, true), b = Slot("b", {8, 2}, true);
  const SavedTensorGuard guard;
  const Tensor x = Leaf({5, 6});
  const Tensor y = Linear(x, {.weight_OI = weight.get()});
  EXPECT_EQ(guard.saved(), 0);
  const LoraSlots lora{a, b, 2, 0, at::kFloat};
  const Tensor z = Linear(x, {.weight_OI = weight.get(), .lora = &lora});
  EXPECT_EQ(guard.saved(), 2);  // x and the down-projection.
  torch::autograd::grad({z}, {x, a->handle()}, {torch::ones_like(z)});
  EXPECT_TRUE(guard.violations().empty());
}

TEST_F(Ops, TheGuardNoticesAWeightThatIsSaved) {
  const auto weight = Slot("frozen", {8, 6}, false);
  const SavedTensorGuard guard;
  const Tensor x = Leaf({5, 6});
  const Tensor y = at::mm(x, weight->Materialise(at::kFloat).t());  // What no operation of ours may do.
  ASSERT_EQ(guard.violations().size(), 1u);
  EXPECT_EQ(guard.violations()[0], "frozen");
}

TEST_F(Ops, LayersOfOneInputWithAdaptersEqualTheirFormula) {
  const auto first = Slot("first", {7, 10}, false), second = Slot("second", {4, 10}, true);
  const auto a = Slot("a", {3, 10}, true), b = Slot("b", {7, 3}, true), c = Slot("c", {2, 10}, true),
             d = Slot("d", {4, 2}, true);
  const LoraSlots one{a, b, 1.5, 0, at::kFloat}, two{c, d, 0.5, 0, at::kFloat};
  const Tensor x = Leaf({5, 10}), dy = torch::randn({5, 7}), dz = torch::randn({5, 4});
  const std::vector<Tensor> y =
      Linears(x, {{.weight_OI = first.get(), .lora = &one}, {.weight_OI = second.get(), .lora = &two}});
  const auto gradients = torch::autograd::grad(
      {y[0], y[1]}, {x, a->handle(), b->handle(), second->handle(), c->handle(), d->handle()}, {dy, dz});
  const auto leaf = [](const auto& slot) { return slot->value().clone().requires_grad_(); };
  const Tensor wa = leaf(a), wb = leaf(b), w = leaf(second), wc = leaf(c), wd = leaf(d);
  const Tensor plain = at::mm(x, first->value().t()) + at::mm(at::mm(x, wa.t()), wb.t()) * 1.5;
  const Tensor other = at::mm(x, w.t()) + at::mm(at::mm(x, wc.t()), wd.t()) * 0.5;
  const auto expected = torch::autograd::grad({plain, other}, {x, wa, wb, w, wc, wd}, {dy, dz});
  ExpectClose(y[0], plain);
  ExpectClose(y[1], other);
  for (size_t i = 0; i < expected.size(); ++i) ExpectClose(gradients[i], expected[i]);
}

TEST_F(Ops, AnAdapterInFloatBesideABfloat16BaseAddsItsFloatProducts) {
  const auto weight = std::make_shared<TensorSlot>("w", torch::randn({7, 10}).to(at::kBFloat16), false);
  const auto a = Slot("a", {3, 10}, true), b = Slot("b", {7, 3}, true);
  const LoraSlots lora{a, b, 2, 0, at::kFloat};
  const Tensor x = torch::randn({5, 10}).to(at::kBFloat16);
  const Tensor y = Linear(x, {.weight_OI = weight.get(), .lora = &lora});
  const Tensor delta = at::mm(at::mm(x.to(at::kFloat), a->value().t()) * 2, b->value().t());
  const Tensor base = at::mm(x.to(at::kDouble), weight->value().to(at::kDouble).t());
  ExpectClose(y.to(at::kDouble), base + delta.to(at::kDouble), 4e-3);  // Rounded once.
}

TEST_F(Ops, AnOutputAddedToTheResidualEqualsItsFormulaWithOrWithoutItsValues) {
  const auto weight = Slot("w", {7, 10}, true), bias = Slot("bias", {7}, true);
  const auto a = Slot("a", {3, 10}, true), b = Slot("b", {7, 3}, true);
  const LoraSlots lora{a, b, 1.5, 0, at::kFloat};
  const LinearLayer layer{.weight_OI = weight.get(), .bias_O = bias.get(), .lora = &lora};
  const Tensor residual = Leaf({5, 7}), x = Leaf({5, 10}), dy = torch::randn({5, 7});
  const auto leaf = [](const auto& slot) { return slot->value().clone().requires_grad_(); };
  const Tensor w = leaf(weight), c = leaf(bias), wa = leaf(a), wb = leaf(b);
  const Tensor plain = residual + at::linear(x, w, c) + at::mm(at::mm(x, wa.t()), wb.t()) * 1.5;
  const auto expected = torch::autograd::grad({plain}, {residual, x, w, c, wa, wb}, {dy});
  for (const ForwardOutput output : {ForwardOutput::kComputed, ForwardOutput::kSkipped}) {
    const Tensor y = AddLinear(residual, x, layer, output);
    if (output == ForwardOutput::kComputed) ExpectClose(y, plain);
    const auto gradients = torch::autograd::grad(
        {y}, {residual, x, weight->handle(), bias->handle(), a->handle(), b->handle()}, {dy});
    for (size_t i = 0; i < expected.size(); ++i) ExpectClose(gradients[i], expected[i]);
  }
}

// y = m / |W + s B A| (W x + s B A x) + bias, where the lengths are constants to the gradient.
TEST_F(Ops, LayersWithMagnitudesEqualTheirFormulaAlsoAddedToTheResidual) {
  const auto weight = Slot("w", {7, 10}, false), bias = Slot("bias", {7}, true), a = Slot("a", {3, 10}, true),
             b = Slot("b", {7, 3}, true), m = Slot("m", {7}, true);
  const LoraSlots lora{
      .a_RI = a, .b_OR = b, .scale = 1.5, .magnitude_O = m, .weight_squares_O = RowSquares(*weight)};
  const LinearLayer layer{.weight_OI = weight.get(), .bias_O = bias.get(), .lora = &lora};
  const Tensor residual = Leaf({5, 7}), x = Leaf({5, 10}), dy = torch::randn({5, 7});
  const auto leaf = [](const auto& slot) { return slot->value().clone().requires_grad_(); };
  const Tensor c = leaf(bias), wa = leaf(a), wb = leaf(b), wm = leaf(m);
  const Tensor whole = weight->value() + at::mm(wb, wa) * 1.5;
  const Tensor factor = wm / whole.detach().norm(2, {1});
  const Tensor plain = at::linear(x, whole) * factor + c;
  const auto expected = torch::autograd::grad({plain}, {x, c, wa, wb, wm}, {dy});
  const std::vector<Tensor> inputs = {x, bias->handle(), a->handle(), b->handle(), m->handle()};
  const Tensor y = Linear(x, layer);
  ExpectClose(y, plain);
  std::vector<Tensor> gradients = torch::autograd::grad({y}, inputs, {dy});
  for (size_t i = 0; i < expected.size(); ++i) ExpectClose(gradients[i], expected[i]);
  for (const ForwardOutput output : {ForwardOutput::kComputed, ForwardOutput::kSkipped}) {
    const Tensor sum = AddLinear(residual, x, layer, output);
    if (output == ForwardOutput::kComputed) ExpectClose(sum, residual + plain);
    gradients = torch::autograd::grad({sum}, inputs, {dy});
    for (size_t i = 0; i < expected.size(); ++i) ExpectClose(gradients[i], expected[i]);
  }
}

TEST_F(Ops, ABfloat16ProductIsAddedToTheResidualWithoutRoundingForAnyNumberOfThreads) {
  const Tensor residual = torch::randn({131, 101}), x = torch::randn({131, 70}).to(at::kBFloat16);
  const auto weight = std::make_shared<TensorSlot>("w", torch::randn({101, 70}).to(at::kBFloat16), false);
  const Tensor exact =
      residual.to(at::kDouble) + at::mm(x.to(at::kDouble), weight->value().to(at::kDouble).t());
  const Tensor one = AddLinear(residual, x, {.weight_OI = weight.get()});
  at::set_num_threads(2);
  EXPECT_TRUE(at::equal(AddLinear(residual, x, {.weight_OI = weight.get()}), one));
  EXPECT_LE((one.to(at::kDouble) - exact).abs().max().item<double>(),
            1e-5 * exact.abs().max().item<double>());
}

TEST_F(Ops, DropoutOfAnAdapterIsTheSameInForwardAndBackward) {
  const auto weight = Slot("w", {4, 12}, false);
  const auto a = Slot("a", {2, 12}, true), b = Slot("b", {4, 2}, true);
  const auto rows = MakeDropoutRows(7, 3, {0, 0, 1}, {0, 1, 0});
  const DropoutSite dropout{rows, 2, 5, 0.5f};
  const LoraSlots lora{a, b, 1, 0.5, at::kFloat};
  const Tensor x = Leaf({3, 12}), dy = torch::randn({3, 4});
  const Tensor y = Linear(x, {.weight_OI = weight.get(), .lora = &lora, .dropout = dropout});
  const auto gradients = torch::autograd::grad({y}, {x, a->handle()}, {dy});
  const Tensor mask = Dropout(torch::ones({3, 12}), dropout);
  EXPECT_GT((mask == 0).sum().item<int64_t>(), 0);
  const Tensor wa = a->value().clone().requires_grad_();
  const Tensor plain = at::mm(x, weight->value().t()) + at::mm(at::mm(x * mask, wa.t()), b->value().t());
  const auto expected = torch::autograd::grad({plain}, {x, wa}, {dy});
  ExpectClose(y, plain);
  ExpectClose(gradients[0], expected[0]);
  ExpectClose(gradients[1], expected[1]);
}

TEST_F(Ops, NormEqualsItsDefinition) {
  const auto weight = Slot("n", {12}, true);
  const Tensor x = Leaf({5, 12}), dy = torch::randn({5, 12});
  const Tensor y = RmsNorm(x, *weight, {1e-5, at::kFloat});
  const auto gradients = torch::autograd::grad({y}, {x, weight->handle()}, {dy});
  const Tensor w = weight->value().clone().requires_grad_();
  const Tensor plain = x * at::rsqrt(x.pow(2).mean(-1, true) + 1e-5) * w;
  const auto expected = torch::autograd::grad({plain}, {x, w}, {dy});
  ExpectClose(y, plain);
  ExpectClose(gradients[0], expected[0]);
  ExpectClose(gradients[1], expected[1]);
}

TEST_F(Ops, ALayerNormAndANormOfOnePlusTheWeightEqualTheirDefinitions) {
  const auto weight = Slot("n", {12}, true), bias = Slot("b", {12}, true);
  const Tensor x = Leaf({5, 12}), dy = torch::randn({5, 12});
  const Tensor w = weight->value().clone().requires_grad_(), b = bias->value().clone().requires_grad_();
  const Tensor y = RmsNorm(x, *weight, {.epsilon = 1e-5, .centred = true, .bias_C = bias.get()});
  const Tensor plain = at::layer_norm(x, {12}, w, b, 1e-5);
  const auto gradients = torch::autograd::grad({y}, {x, weight->handle(), bias->handle()}, {dy});
  const auto expected = torch::autograd::grad({plain}, {x, w, b}, {dy});
  ExpectClose(y, plain);
  for (size_t i = 0; i < 3; ++i) ExpectClose(gradients[i], expected[i]);
  const Tensor one = RmsNorm(x, *weight, {.epsilon = 1e-5, .plus_one = true});
  const Tensor plain_one = x * at::rsqrt(x.pow(2).mean(-1, true) + 1e-5) * (1 + w);
  const auto one_gradients = torch::autograd::grad({one}, {x, weight->handle()}, {dy});
  const auto one_expected = torch::autograd::grad({plain_one}, {x, w}, {dy});
  ExpectClose(one, plain_one);
  for (size_t i = 0; i < 2; ++i) ExpectClose(one_gradients[i], one_expected[i]);
}

// Outputs dealt out in groups, two of them gated, and what is wider than the products turned back into their type.
TEST_F(Ops, PiecesOfProductsEqualTheirDefinition) {
  const auto fused = Slot("f", {12, 5}, true), other = Slot("o", {6, 5}, true);
  const Tensor x = Leaf({4, 5}), dz = torch::randn({4, 6});
  const std::vector<LinearLayer> layers = {{.weight_OI = fused.get()}, {.weight_OI = other.get()}};
  // Rows 0, 1 and 6, 7 and so on of the fused product times what the other gives; the rest is not read here.
  const std::vector<OutputPiece> pieces = {{0, 0, 4, 3, 2}, {1, 0, 0, 1, 6}, {0, 2, 4, 3, 2}};
  const auto epilogue = OverPieces(pieces, {12, 6}, std::make_shared<UnroundedEpilogue>());
  const std::vector<Tensor> y = Linears(x, layers, epilogue);
  const Tensor wf = fused->value().clone().requires_grad_(), wo = other->value().clone().requires_grad_();
  const Tensor whole = at::mm(x, wf.t()).view({4, 3, 2, 2}), rest = at::mm(x, wo.t());
  const Tensor first = whole.select(2, 0).reshape({4, 6}), second = whole.select(2, 1).reshape({4, 6});
  ExpectClose(y[0], first);
  ExpectClose(y[1], rest);
  ExpectClose(y[2], second);
  const auto gradients =
      torch::autograd::grad({(y[0] * y[1] + y[2])}, {x, fused->handle(), other->handle()}, {dz});
  const auto expected = torch::autograd::grad({first * rest + second}, {x, wf, wo}, {dz});
  for (size_t i = 0; i < 3; ++i) ExpectClose(gradients[i], expected[i]);
}

TEST_F(Ops, ActivationsEqualTheirDefinition) {
  using Kind = ActivationEpilogue::Kind;
  for (const Kind kind : {Kind::kSilu, Kind::kGelu, Kind::kGeluTanh}) {
    const auto activated = [&](const Tensor& value) {
      return kind == Kind::kSilu ? at::silu(value) : at::gelu(value, kind == Kind::kGelu ? "none" : "tanh");
    };
    const auto gate = Slot("g", {6, 5}, true), up = Slot("u", {6, 5}, true);
    const Tensor x = Leaf({4, 5}), dz = torch::randn({4, 6});
    const std::vector<LinearLayer> both = {{.weight_OI = gate.get()}, {.weight_OI = up.get()}};
    const auto epilogue = std::make_shared<ActivationEpilogue>(kind);
    const Tensor z = Linears(x, both, epilogue)[0], plain_z = Linears(x, {both[0]}, epilogue)[0];
    const Tensor g = gate->value().clone().requires_grad_(), u = up->value().clone().requires_grad_();
    const Tensor inner = activated(at::mm(x, g.t())), gated = inner * at::mm(x, u.t());
    ExpectClose(z, gated);
    ExpectClose(plain_z, inner);
    const auto gradients = torch::autograd::grad({z}, {x, gate->handle(), up->handle()}, {dz});
    const auto expected = torch::autograd::grad({gated}, {x, g, u}, {dz}, /*retain_graph=*/true);
    for (size_t i = 0; i < 3; ++i) ExpectClose(gradients[i], expected[i]);
    const auto alone = torch::autograd::grad({plain_z}, {x, gate->handle()}, {dz});
    const auto alone_expected = torch::autograd::grad({inner}, {x, g}, {dz});
    for (size_t i = 0; i < 2; ++i) ExpectClose(alone[i], alone_expected[i]);
  }
}

TEST_F(Ops, LayersWithTheGateEqualItsDefinition) {
  const auto gate = Slot("g", {6, 5}, true), up = Slot("u", {6, 5}, true);
  const Tensor x = Leaf({4, 5}), dz = torch::randn({4, 6});
  const std::vector<LinearLayer> layers = {{.weight_OI = gate.get()}, {.weight_OI = up.get()}};
  const Tensor z = Linears(x, layers, std::make_shared<GateEpilogue>())[0];
  const auto gradients = torch::autograd::grad({z}, {x, gate->handle(), up->handle()}, {dz});
  const Tensor g = gate->value().clone().requires_grad_(), u = up->value().clone().requires_grad_();
  const Tensor plain = at::silu(at::mm(x, g.t())) * at::mm(x, u.t());
  const auto expected = torch::autograd::grad({plain}, {x, g, u}, {dz});
  ExpectClose(z, plain);
  for (size_t i = 0; i < expected.size(); ++i) ExpectClose(gradients[i], expected[i]);
}

// Heads of rows turned by the angles of their positions, by LibTorch.
Tensor Turned(const Tensor& x_NHD, const Tensor& angles_NP) {
  const Tensor angles_N1D = at::cat({angles_NP, angles_NP}, -1).unsqueeze(1);
  const int64_t half = x_NHD.size(2) / 2;
  const Tensor across = at::cat({-x_NHD.narrow(2, half, half), x_NHD.narrow(2, 0, half)}, -1);
  return x_NHD * angles_N1D.cos() + across * angles_N1D.sin();
}

// Rows of two texts; queries have more heads than keys.
TEST_F(Ops, LayersWithRotaryHeadsEqualTheirDefinition) {
  const auto query = Slot("q", {16, 5}, true), key = Slot("k", {8, 5}, true), value = Slot("v", {8, 5}, true);
  const Tensor x = Leaf({3, 5}), angles = torch::rand({4, 4});
  const std::vector<LinearLayer> layers = {
      {.weight_OI = query.get()}, {.weight_OI = key.get()}, {.weight_OI = value.get()}};
  const Tensor position_N = torch::tensor({3, 0, 1}, torch::kInt32);
  const RopeTable table{at::cos(angles), at::sin(angles), position_N};
  const std::vector<HeadsOfLayer> heads = {{2, true}, {1, true}, {1, false}};
  const std::vector<Tensor> y = Linears(x, layers, std::make_shared<RotaryEpilogue>(table, heads));
  const std::vector<Tensor> dy = {torch::randn({3, 2, 8}), torch::randn({3, 1, 8}), torch::randn({3, 1, 8})};
  const auto gradients = torch::autograd::grad(y, {x, query->handle(), key->handle(), value->handle()}, dy);
  std::vector<Tensor> inputs = {x}, expected;
  const Tensor angles_NP = angles.index_select(0, position_N.to(at::kLong));
  for (const auto* slot : {query.get(), key.get(), value.get()}) {
    inputs.push_back(slot->value().clone().requires_grad_());
    const Tensor heads_NHD = at::mm(x, inputs.back().t()).view({3, -1, 8});
    expected.push_back(slot == value.get() ? heads_NHD : Turned(heads_NHD, angles_NP));
  }
  const auto expected_gradients = torch::autograd::grad(expected, inputs, dy);
  for (size_t i = 0; i < expected.size(); ++i) ExpectClose(y[i], expected[i]);
  for (size_t i = 0; i < inputs.size(); ++i) ExpectClose(gradients[i], expected_gradients[i]);
}

// The node of its own, where keys have fewer heads and are a part of what they were cut from.
TEST_F(Ops, RotationAloneEqualsItsDefinition) {
  const Tensor queries = Leaf({3, 2, 8}), whole = Leaf({3, 1, 12}), angles = torch::rand({4, 4});
  const Tensor position_N = torch::tensor({3, 0, 1}, torch::kInt32);
  const Tensor keys = whole.narrow(2, 4, 8), angles_NP = angles.index_select(0, position_N.to(at::kLong));
  const auto [q, k] = Rotate(queries, keys, {at::cos(angles), at::sin(angles), position_N});
  const std::vector<Tensor> dy = {torch::randn({3, 2, 8}), torch::randn({3, 1, 8})};
  const auto gradients = torch::autograd::grad({q, k}, {queries, whole}, dy, /*retain_graph=*/true);
  const std::vector<Tensor> expected = {Turned(queries, angles_NP), Turned(keys, angles_NP)};
  const auto expected_gradients = torch::autograd::grad(expected, {queries, whole}, dy);
  ExpectClose(q, expected[0]);
  ExpectClose(k, expected[1]);
  for (size_t i = 0; i < 2; ++i) ExpectClose(gradients[i], expected_gradients[i]);
}

TEST_F(Ops, AnEpilogueRoundsOnceAndSavesNothingWithoutAGraph) {
  const auto gate = Slot("g", {66, 32}, false), up = Slot("u", {66, 32}, false);
  const Tensor x = torch::randn({9, 32}).to(at::kBFloat16);
  const std::vector<LinearLayer> layers = {{.weight_OI = gate.get()}, {.weight_OI = up.get()}};
  const auto weight = [](const auto& slot) { return slot->value().to(at::kBFloat16).to(at::kDouble); };
  const Tensor wide = x.to(at::kDouble);
  const Tensor exact = at::silu(at::mm(wide, weight(gate).t())) * at::mm(wide, weight(up).t());
  Tensor z;
  {
    torch::NoGradGuard no_grad;
    z = Linears(x, layers, std::make_shared<GateEpilogue>())[0];
  }
  EXPECT_EQ(z.scalar_type(), at::kBFloat16);
  // Half a unit of bfloat16's last place, and a little for float32.
  EXPECT_TRUE(((z.to(at::kDouble) - exact).abs() <= exact.abs() * 0.00392 + 1e-6).all().item<bool>());
  const SavedTensorGuard guard;
  Linears(x.detach().requires_grad_(), layers, std::make_shared<GateEpilogue>());
  EXPECT_EQ(guard.saved(), 2);
}

TEST_F(Ops, WhatIsSavedNarrowerChangesGradientsByItsRoundingAndNoResult) {
  const auto gate = Slot("g", {66, 32}, true), up = Slot("u", {66, 32}, true),
             down = Slot("d", {8, 66}, true);
  const Tensor x = Leaf({9, 32}), residual = torch::zeros({9, 8}), dy = torch::randn({9, 8});
  const std::vector<LinearLayer> layers = {{.weight_OI = gate.get()}, {.weight_OI = up.get()}};
  const auto run = [&](at::ScalarType saved_dtype) {
    const Tensor z = Linears(x, layers, std::make_shared<GateEpilogue>(), saved_dtype)[0];
    const Tensor y = AddLinear(residual, z, {.weight_OI = down.get()}, ForwardOutput::kComputed, saved_dtype);
    auto results = torch::autograd::grad({y}, {x, gate->handle(), up->handle(), down->handle()}, {dy});
    results.push_back(y.detach());
    results.push_back(z.detach());
    return results;
  };
  const auto whole = run(at::kFloat), narrow = run(at::kBFloat16);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_FALSE(at::equal(narrow[i], whole[i])) << i;
    ExpectClose(narrow[i], whole[i], 1e-2);
  }
  EXPECT_TRUE(at::equal(narrow[4], whole[4]));
  EXPECT_TRUE(at::equal(narrow[5], whole[5]));
  ExpectClose(narrow[3], at::mm(dy.t(), whole[5].to(at::kBFloat16).to(at::kFloat)), 1e-6);
}

// LibTorch's attention as the oracle, one segment at a time.
Tensor OracleAttention(const Tensor& q, const Tensor& k, const Tensor& v,
                       const std::vector<AttentionSegment>& segments, double scale) {
  std::vector<Tensor> outputs;
  const int64_t groups = q.size(1) / k.size(1);
  for (const AttentionSegment& s : segments) {
    const auto part = [](const Tensor& t, int64_t first, int64_t count) {
      return t.narrow(0, first, count).transpose(0, 1).unsqueeze(0);
    };
    const Tensor qs = part(q, s.first_query, s.queries);
    const Tensor ks = part(k, s.first_key, s.keys).repeat_interleave(groups, 1);
    const Tensor vs = part(v, s.first_key, s.keys).repeat_interleave(groups, 1);
    const Tensor seen = torch::ones({s.queries, s.keys}, torch::kBool).tril(s.keys - s.queries);
    outputs.push_back(
        at::scaled_dot_product_attention(qs, ks, vs, seen, 0.0, false, scale).squeeze(0).transpose(0, 1));
  }
  return at::cat(outputs);
}

TEST_F(Ops, AttentionEqualsTheOracleOverOddSegmentsAndGroups) {
  const struct {
    int64_t heads, key_heads, size;
    std::vector<int64_t> lengths;
  } cases[] = {{1, 1, 2, {1}},       {4, 2, 6, {5, 1, 9}}, {6, 1, 10, {3, 300}},
               {3, 3, 8, {257, 64}}, {9, 3, 64, {130}},    {2, 1, 6, {1101}}};  // Several tiles of keys.
  for (const auto& c : cases) {
    std::vector<AttentionSegment> segments;
    int64_t rows = 0;
    for (int64_t length : c.lengths) {
      segments.push_back({rows, length, rows, length});
      rows += length;
    }
    const Tensor q = Leaf({rows, c.heads, c.size}), k = Leaf({rows, c.key_heads, c.size}),
                 v = Leaf({rows, c.key_heads, c.size}), dout = torch::randn({rows, c.heads, c.size});
    const AttentionShape shape{std::make_shared<const std::vector<AttentionSegment>>(segments), 0.4};
    const Tensor out = CausalAttention(q, k, v, shape), oracle = OracleAttention(q, k, v, segments, 0.4);
    ExpectClose(out, oracle);
    const auto gradients = torch::autograd::grad({out}, {q, k, v}, {dout});
    const auto expected = torch::autograd::grad({oracle}, {q, k, v}, {dout});
    for (size_t i = 0; i < 3; ++i) ExpectClose(gradients[i], expected[i]);
  }
}

TEST_F(Ops, AttentionInBfloat16IsWithinItsRoundingOfTheOracleAndTheSameForAnyNumberOfThreads) {
  const int64_t rows = 761;
  const std::vector<AttentionSegment> segments = {{0, 691, 0, 691}, {691, 1, 691, 1}, {692, 69, 692, 69}};
  const AttentionShape shape{std::make_shared<const std::vector<AttentionSegment>>(segments), 0.25};
  std::vector<Tensor> inputs;
  for (int64_t heads : {6, 2, 2})
    inputs.push_back(torch::randn({rows, heads, 16}).to(at::kBFloat16).requires_grad_());
  const Tensor dout = torch::randn({rows, 6, 16}).to(at::kBFloat16);
  std::vector<Tensor> wide;
  for (const Tensor& input : inputs) wide.push_back(input.detach().to(at::kFloat).requires_grad_());
  const Tensor oracle = OracleAttention(wide[0], wide[1], wide[2], segments, 0.25);
  const auto expected = torch::autograd::grad({oracle}, wide, {dout.to(at::kFloat)});
  std::vector<Tensor> before;
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    const Tensor out = CausalAttention(inputs[0], inputs[1], inputs[2], shape);
    std::vector<Tensor> results = torch::autograd::grad({out}, inputs, {dout});
    for (size_t i = 0; i < 3; ++i) ExpectClose(results[i].to(at::kFloat), expected[i], 1e-2);
    ExpectClose(out.detach().to(at::kFloat), oracle, 5e-3);
    results.push_back(out.detach());
    for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(at::equal(results[i], before[i])) << i;
    before = results;
  }
}

// Softmax over whole rows with everything that a shape can say.
Tensor WholeRows(const Tensor& q_NHD, const Tensor& k_NHD, const Tensor& v_NHD, const AttentionShape& shape) {
  const int64_t rows = q_NHD.size(0);
  Tensor scores = at::einsum("ihd,jhd->hij", {q_NHD, k_NHD}) * shape.scale;
  if (shape.cap > 0) scores = at::tanh(scores / shape.cap) * shape.cap;
  const Tensor distance = torch::arange(rows).unsqueeze(1) - torch::arange(rows).unsqueeze(0);
  if (shape.slopes != nullptr) {
    scores = scores - torch::tensor(*shape.slopes).view({-1, 1, 1}) * distance.to(torch::kFloat);
  }
  Tensor hidden = distance.lt(0);
  if (shape.window > 0) hidden = hidden.logical_or(distance.ge(shape.window));
  return at::einsum("hij,jhd->ihd", {scores.masked_fill(hidden, -INFINITY).softmax(-1), v_NHD});
}

TEST_F(Ops, WindowsCapsAndSlopesEqualSoftmaxOverWholeRows) {
  const int64_t rows = 150;
  const auto segments =
      std::make_shared<const std::vector<AttentionSegment>>(1, AttentionSegment{0, rows, 0, rows});
  const auto slopes = std::make_shared<const std::vector<float>>(std::vector<float>{0.5f, 0.25f, 0.125f});
  const AttentionShape shapes[] = {
      {.segments = segments, .scale = 0.3, .window = 1},
      {.segments = segments, .scale = 0.3, .window = 7},
      {.segments = segments, .scale = 0.3, .window = 65},
      {.segments = segments, .scale = 0.3, .cap = 2},
      {.segments = segments, .scale = 0.3, .slopes = slopes},
      {.segments = segments, .scale = 0.3, .window = 70, .cap = 2, .slopes = slopes}};
  for (const AttentionShape& shape : shapes) {
    const Tensor q = Leaf({rows, 3, 8}), k = Leaf({rows, 3, 8}), v = Leaf({rows, 3, 8}),
                 dout = torch::randn({rows, 3, 8});
    const Tensor out = CausalAttention(q, k, v, shape), plain = WholeRows(q, k, v, shape);
    ExpectClose(out, plain);
    const auto gradients = torch::autograd::grad({out}, {q, k, v}, {dout});
    const auto expected = torch::autograd::grad({plain}, {q, k, v}, {dout});
    for (size_t i = 0; i < 3; ++i) ExpectClose(gradients[i], expected[i]);
  }
}

TEST_F(Ops, AttentionOfLateQueriesEqualsTheRowsOfTheWhole) {
  const Tensor q = torch::randn({516, 4, 6}), k = torch::randn({516, 2, 6}), v = torch::randn({516, 2, 6});
  const auto shape = [](AttentionSegment s) {
    return AttentionShape{std::make_shared<const std::vector<AttentionSegment>>(1, s), 1};
  };
  const Tensor whole = CausalAttention(q, k, v, shape({0, 516, 0, 516}));
  // The first of them does not see the last tile of keys at all.
  const Tensor late = CausalAttention(q.narrow(0, 509, 7), k, v, shape({0, 7, 0, 516}));
  ExpectClose(late, whole.narrow(0, 509, 7), 1e-6);
}

TEST_F(Ops, AttentionThatWasSavedIsNotComputedAgainAndHasTheSameGradients) {
  const Tensor q = Leaf({5, 2, 4}), k = Leaf({5, 2, 4}), v = Leaf({5, 2, 4}), dout = torch::randn({5, 2, 4});
  const AttentionShape shape{
      std::make_shared<const std::vector<AttentionSegment>>(1, AttentionSegment{0, 5, 0, 5}), 1};
  SavedAttention saved;
  Tensor first;
  {
    torch::NoGradGuard no_grad;
    first = CausalAttention(q, k, v, shape, &saved);
  }
  ASSERT_TRUE(saved.out_NHD.is_alias_of(first));
  const Tensor again = CausalAttention(q, k, v, shape, &saved);
  EXPECT_TRUE(again.is_alias_of(first));
  EXPECT_FALSE(saved.out_NHD.defined());
  const auto expected = torch::autograd::grad({CausalAttention(q, k, v, shape)}, {q, k, v}, {dout});
  const auto gradients = torch::autograd::grad({again}, {q, k, v}, {dout});
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(at::equal(gradients[i], expected[i])) << i;
}

TEST_F(Ops, RowsAreDividedAmongThreads) {
  at::set_num_threads(2);
  std::atomic<int64_t> parts = 0, rows = 0;
  OverRows(1000, 32768, [&](int64_t first, int64_t last) {
    ++parts;
    rows += last - first;
  });
  EXPECT_EQ(parts, 2);
  EXPECT_EQ(rows, 1000);
}

TEST_F(Ops, CrossEntropyEqualsAutograd) {
  for (const int64_t vocabulary : {11, 9001}) {  // The gradient of a head is computed 4,096 rows at a time.
    const auto head = Slot("h", {vocabulary, 6}, true);
    const Tensor hidden = Leaf({5, 6});
    const std::vector<int64_t> targets = {3, 0, vocabulary - 1, 3, vocabulary / 2};
    const LossResult result = CrossEntropy(hidden.detach(), *head, targets, {true, 0.25});
    const Tensor w = head->value().clone().requires_grad_();
    const Tensor loss =
        at::cross_entropy_loss(at::mm(hidden, w.t()), torch::tensor(targets), {}, at::Reduction::Sum);
    const auto expected = torch::autograd::grad({loss * 0.25}, {hidden, w});
    EXPECT_NEAR(result.losses.Sum(), loss.item<double>(), 1e-5);
    ExpectClose(result.dhidden_SC, expected[0]);
    ExpectClose(result.dhead_VC, expected[1]);
    EXPECT_EQ(CrossEntropy(hidden.detach(), *head, targets, {}).losses.Sum(), result.losses.Sum());
  }
}

TEST_F(Ops, ANormalisedHeadAndACapEqualAutograd) {
  const auto head = Slot("h", {11, 6}, true);
  const Tensor hidden = Leaf({5, 6});
  const std::vector<int64_t> targets = {3, 0, 10, 3, 7};
  for (const Head& form : {Head(*head, true), Head(*head, false, 2), Head(*head, true, 0.5)}) {
    const LossResult result = CrossEntropy(hidden.detach(), form, targets, {true, 0.25});
    const Tensor w = head->value().clone().requires_grad_();
    Tensor logits = at::mm(hidden, (form.normalised ? w / w.norm(2, {1}, true) : w).t());
    if (form.cap > 0) logits = at::tanh(logits / form.cap) * form.cap;
    ExpectClose(Logits(hidden.detach(), form), logits);
    const Tensor loss = at::cross_entropy_loss(logits, torch::tensor(targets), {}, at::Reduction::Sum);
    const auto expected = torch::autograd::grad({loss * 0.25}, {hidden, w});
    EXPECT_NEAR(result.losses.Sum(), loss.item<double>(), 1e-5);
    ExpectClose(result.dhidden_SC, expected[0]);
    ExpectClose(result.dhead_VC, expected[1]);
  }
}

TEST_F(Ops, EmbeddedRowsAreTheTablesRoundedToTheType) {
  const Tensor ids = torch::randint(0, 70, {41}, torch::kInt64), value = torch::randn({70, 64});
  const TensorSlot whole("e", value, true), narrow("n", value.to(at::kBFloat16), false);
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const TensorSlot* table : {&whole, &narrow}) {
      const Tensor expected = table->value().to(type).to(at::kFloat).index_select(0, ids);
      EXPECT_TRUE(at::equal(Embed(*table, ids, type), expected)) << type;
    }
  }
}

TEST_F(Ops, EmbeddingGradientAddsRepeatedTokensForAnyNumberOfThreads) {
  const Tensor ids = torch::tensor({2, 0, 2, 2, 1}, torch::kInt64), dx = torch::randn({5, 70001});
  Tensor one = torch::zeros({3, 70001}), two = torch::zeros({3, 70001});
  AddEmbeddingGradient(ids, dx, one);
  at::set_num_threads(2);
  AddEmbeddingGradient(ids, dx, two);
  EXPECT_TRUE(at::equal(one, two));
  ExpectClose(one[2], dx[0] + dx[2] + dx[3], 1e-6);
}

TEST_F(Ops, UniformNumbersDependOnSeedStreamAndIndexOnly) {
  Tensor a = torch::empty({1003}), b = torch::empty({7}), c = torch::empty({1003});
  FillUniform(1, 2, 0.5f, a);
  FillUniform(1, 2, 0.5f, b);
  FillUniform(1, 3, 0.5f, c);
  EXPECT_TRUE(at::equal(a.narrow(0, 0, 7), b));
  EXPECT_FALSE(at::equal(a, c));
  EXPECT_LE(a.abs().max().item<double>(), 0.5);
  EXPECT_NEAR(a.mean().item<double>(), 0, 0.06);  // Six standard errors.
  EXPECT_NE(UniformDraw(1, 2, 0), UniformDraw(1, 2, 1));
}

TEST_F(Ops, Nf4DependsOnNoThreadCount) {
  const Tensor values = torch::randn({301, 257});
  const Nf4Tensor one = QuantiseNf4(values);
  at::set_num_threads(2);
  const Nf4Tensor two = QuantiseNf4(values);
  EXPECT_TRUE(at::equal(one.packed, two.packed));
  EXPECT_TRUE(at::equal(one.absmax_codes, two.absmax_codes));
  EXPECT_TRUE(at::equal(DequantiseNf4(one, at::kFloat), DequantiseNf4(two, at::kFloat)));
  EXPECT_TRUE(at::equal(DequantiseNf4(one, at::kBFloat16), DequantiseNf4(one, at::kFloat).to(at::kBFloat16)));
  EXPECT_LT((DequantiseNf4(one, at::kFloat) - values).abs().mean().item<double>(), 0.1);
}

TEST(Int8Test, CodesAreTheNearestOf127StepsOfTheRowsLargest) {
  torch::manual_seed(5);
  torch::Tensor values = torch::randn({7, 33});
  values[2].zero_();
  values[3][4] = -9;
  const Int8Tensor tensor = QuantiseInt8(values);
  EXPECT_EQ(tensor.codes_OI.scalar_type(), torch::kInt8);
  EXPECT_EQ(tensor.codes_OI[3][4].item<int>(), -127);
  EXPECT_EQ(tensor.codes_OI[2].abs().max().item<int>(), 0);
  EXPECT_EQ(tensor.absmax_O[3].item<float>(), 9);
  const torch::Tensor error = (DequantiseInt8(tensor, torch::kFloat) - values).abs();
  EXPECT_TRUE((error <= tensor.absmax_O.unsqueeze(1) / 254 * 1.0001f).all().item<bool>());
  EXPECT_TRUE(torch::equal(QuantiseInt8(DequantiseInt8(tensor, torch::kFloat)).codes_OI, tensor.codes_OI));
}

TEST(Int8Test, TilesHoldTheDequantisedValuesToTheBit) {
  torch::manual_seed(6);
  const Int8Tensor tensor = QuantiseInt8(torch::randn({20, 50}));
  const auto tiles = Int8Tiles(tensor, torch::kFloat);
  const MatrixTile tile{.first_row = 3, .rows = 11, .first_column = 7, .columns = 30};
  std::vector<float> scratch(static_cast<size_t>(MatrixTiles::ScratchSize(tile)));
  const auto rows = tiles->Tile(tile, scratch.data());
  const torch::Tensor whole = DequantiseInt8(tensor, torch::kFloat);
  for (int64_t r = 0; r < tile.rows; ++r) {
    for (int64_t c = 0; c < tile.columns; ++c)
      ASSERT_EQ(rows.data[r * rows.stride + c], whole[3 + r][7 + c].item<float>());
  }
  std::vector<kernels::BF16> half(scratch.size());
  const auto narrow = Int8Tiles(tensor, torch::kBFloat16)->Tile(tile, half.data());
  const torch::Tensor rounded = DequantiseInt8(tensor, torch::kBFloat16).to(torch::kFloat);
  for (int64_t c = 0; c < tile.columns; ++c)
    ASSERT_EQ(kernels::ToFloat(narrow.data[c]), rounded[3][7 + c].item<float>());
}

}  // namespace
}  // namespace ft::ops
