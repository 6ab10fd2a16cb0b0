// Rows that a norm or a gate writes with room for the adapters of the layers that read them (worker/model/ops/joined_rows.h), and outputs
// that are columns of one product: where rows lie changes no bit of results and gradients.
#include "worker/model/ops/joined_rows.h"

#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/test_device.h"
#include "worker/device/staging.h"
#include "worker/model/ops/epilogue.h"
#include "worker/model/ops/linear.h"
#include "worker/model/ops/norm.h"
#include "worker/model/params/nf4_slot.h"
#include "worker/model/params/resident_slot.h"

namespace ft::params {
namespace {

using torch::Tensor;

constexpr int64_t kRows = 7, kInputs = 24, kOutputs = 20, kRank = 5;

Tensor Draw(at::IntArrayRef shape, at::ScalarType type = at::kFloat) {
  return device::Upload(torch::randn(shape).to(type), TestDevice());
}

// Gate and up over normed rows, and down with its sum: layers in NF4 whose adapters are trained.
class Mlp {
 public:
  Mlp(at::ScalarType type, float dropout) : type_(type), dropout_(dropout) {
    for (int i = 0; i < 3; ++i) {
      const int64_t inputs = i < 2 ? kInputs : kOutputs, outputs = i < 2 ? kOutputs : kInputs;
      weights_.push_back(std::make_unique<Nf4Slot>(
          "w", ops::ToDevice(ops::QuantiseNf4(torch::randn({outputs, inputs})), TestDevice())));
      lora_.push_back({.a_RI = Trained({kRank, inputs}),
                       .b_OR = Trained({outputs, kRank}),
                       .scale = 0.5,
                       .dropout = dropout,
                       .compute = type});
    }
    norm_ = Trained({kInputs});
  }

  // The sum and all gradients, with room behind normed and gated rows or without.
  std::vector<Tensor> Run(bool with_room) const {
    const auto room = [&](int64_t columns, int64_t layers) {
      return with_room ? ops::RoomFor(columns, layers * kRank, TestDevice()) : 0;
    };
    const Tensor residual = x_.detach().requires_grad_();
    const Tensor normed =
        ops::RmsNorm(residual, *norm_, {.epsilon = 1e-5, .output = type_, .room = room(kInputs, 2)});
    const auto gate = std::make_shared<ops::GateEpilogue>(room(kOutputs, 1));
    const Tensor gated = ops::Linears(normed, {Layer(0), Layer(1)}, gate, type_)[0];
    const Tensor sum = ops::AddLinear(residual, gated, Layer(2), ops::ForwardOutput::kComputed, type_);
    if (with_room && !TestDevice().is_cpu()) {
      EXPECT_EQ(normed.stride(0), 40);  // 24 and twice 5 are 34.
      EXPECT_EQ(gated.stride(0), type_ == at::kBFloat16 ? 32 : 20);
    }
    std::vector<Tensor> inputs = {residual, norm_->handle()};
    for (const ops::LoraSlots& lora : lora_)
      inputs.insert(inputs.end(), {lora.a_RI->handle(), lora.b_OR->handle()});
    std::vector<Tensor> results = torch::autograd::grad({sum}, inputs, {dy_});
    results.push_back(sum);
    return results;
  }

 private:
  std::shared_ptr<const ops::WeightSlot> Trained(std::vector<int64_t> shape) {
    stores_.push_back(
        std::make_unique<ParameterStore>(plan::SliceTable::Of({{"weight", shape}}), TestDevice()));
    stores_.back()->value(0).copy_(Draw(shape));
    return std::make_shared<TrainedSlot>(*stores_.back(), 0);
  }
  ops::LinearLayer Layer(size_t i) const {
    ops::LinearLayer layer{.weight_OI = weights_[i].get(), .lora = &lora_[i]};
    layer.dropout = {draws_, 3, static_cast<uint32_t>(i), dropout_};
    return layer;
  }

  const at::ScalarType type_;
  const float dropout_;
  const Tensor x_ = Draw({kRows, kInputs}), dy_ = Draw({kRows, kInputs});
  const std::shared_ptr<const ops::DropoutRows> draws_ =
      ops::MakeDropoutRows(1, 2, std::vector<uint64_t>(kRows, 5), {0, 1, 2, 3, 4, 5, 6}, TestDevice());
  std::vector<std::unique_ptr<ParameterStore>> stores_;
  std::vector<std::unique_ptr<ops::WeightSlot>> weights_;
  std::vector<ops::LoraSlots> lora_;
  std::shared_ptr<const ops::WeightSlot> norm_;
};

class JoinedRowsTest : public ::testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(6); }
};

TEST_F(JoinedRowsTest, RoomBehindRowsChangesNoBit) {
  for (const auto type : {at::kBFloat16, at::kFloat}) {
    for (const float dropout : {0.0F, 0.3F}) {
      const Mlp mlp(type, dropout);
      const std::vector<Tensor> dense = mlp.Run(false), roomy = mlp.Run(true);
      for (size_t i = 0; i < dense.size(); ++i)
        EXPECT_TRUE(at::equal(dense[i], roomy[i])) << type << ", dropout " << dropout << ", result " << i;
    }
  }
}

TEST_F(JoinedRowsTest, OnlyRowsThatWereMadeWithRoomHaveIt) {
  const auto options = at::TensorOptions(TestDevice()).dtype(at::kBFloat16);
  const Tensor roomy = ops::RowsWithRoom(3, 5, 4, options);
  EXPECT_FALSE(roomy.is_view());
  const Tensor whole = ops::WithRoom(roomy, 4);
  ASSERT_TRUE(whole.defined());
  EXPECT_EQ(whole.sizes(), at::IntArrayRef({3, 9}));
  EXPECT_TRUE(whole.is_alias_of(roomy));
  EXPECT_FALSE(ops::WithRoom(roomy, 5).defined());
  EXPECT_FALSE(ops::WithRoom(torch::empty({3, 5}, options), 1).defined());
  EXPECT_FALSE(ops::WithRoom(torch::empty({5, 3}, options).t(), 1).defined());
  // The last row's room is not there.
  EXPECT_FALSE(ops::WithRoom(torch::empty_strided({3, 5}, {9, 1}, options), 4).defined());
}

void ExpectSameOfSharedRows(const ops::Epilogue& epilogue, size_t outputs, at::ScalarType type) {
  ASSERT_TRUE(epilogue.ReadsSharedRows());
  const Tensor all = Draw({kRows, static_cast<int64_t>(outputs) * 24});
  std::vector<Tensor> shared, apart, saved_shared, saved_apart;
  for (size_t i = 0; i < outputs; ++i) {
    shared.push_back(all.narrow(1, static_cast<int64_t>(i) * 24, 24));
    apart.push_back(shared.back().contiguous());
  }
  std::vector<Tensor> results = epilogue.Forward(shared, type, &saved_shared),
                      expected = epilogue.Forward(apart, type, &saved_apart);
  results.insert(results.end(), saved_shared.begin(), saved_shared.end());
  expected.insert(expected.end(), saved_apart.begin(), saved_apart.end());
  ASSERT_EQ(results.size(), expected.size());
  for (size_t i = 0; i < results.size(); ++i) {
    EXPECT_TRUE(at::equal(results[i], expected[i])) << i;
    EXPECT_FALSE(results[i].is_alias_of(all)) << "it would keep the outputs of all layers";
  }
}

TEST_F(JoinedRowsTest, EpiloguesReadColumnsOfOneProduct) {
  const Tensor angles = torch::rand({kRows, 3});
  const ops::RopeTable table{.cosine_LP = device::Upload(at::cos(angles), TestDevice()),
                             .sine_LP = device::Upload(at::sin(angles), TestDevice()),
                             .position_N = device::Upload(torch::arange(kRows, at::kInt), TestDevice())};
  using Kind = ops::ActivationEpilogue::Kind;
  const auto type = at::kBFloat16;
  ExpectSameOfSharedRows(ops::RotaryEpilogue(table, {{4, true}, {4, true}, {4, false}}), 3, type);
  ExpectSameOfSharedRows(ops::RotaryEpilogue(table, {{4, true}, {1, false}, {4, false}}), 3, type);
  ExpectSameOfSharedRows(ops::GateEpilogue(), 2, type);
  ExpectSameOfSharedRows(ops::GateEpilogue(8), 2, type);
  ExpectSameOfSharedRows(ops::ActivationEpilogue(Kind::kGeluTanh, 8), 2, type);
  ExpectSameOfSharedRows(ops::ActivationEpilogue(Kind::kSilu), 1, type);
  ExpectSameOfSharedRows(ops::ClampedGateEpilogue(1.5, 8), 2, type);
}

}  // namespace
}  // namespace ft::params
