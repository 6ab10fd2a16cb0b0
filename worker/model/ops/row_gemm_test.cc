// Products of few rows beside panels and float64, and who gets them.
#include "worker/model/ops/row_gemm.h"

#include <ATen/Parallel.h>

#include <memory>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "worker/model/ops/fused_gemm.h"
#include "worker/model/ops/int8_weight.h"
#include "worker/model/ops/nf4_weight.h"
#include "worker/model/ops/tensor_slot_fixture.h"

namespace ft::ops {
namespace {

using torch::Tensor;

class Nf4TestSlot final : public WeightSlot, public Nf4Weight {
 public:
  explicit Nf4TestSlot(const Tensor& values_OI)
      : WeightSlot("nf4", values_OI.sizes().vec(), at::kCPU), tensor_(QuantiseNf4(values_OI)) {}
  const Nf4Tensor& tensor() const override { return tensor_; }
  std::shared_ptr<const MatrixTiles> Tiles(at::ScalarType type) const override {
    return Nf4Tiles(tensor_, type);
  }

 private:
  Tensor Load(at::ScalarType type) const override { return DequantiseNf4(tensor_, type); }
  const Nf4Tensor tensor_;
};

class Int8TestSlot final : public WeightSlot, public Int8Weight {
 public:
  explicit Int8TestSlot(const Tensor& values_OI)
      : WeightSlot("int8", values_OI.sizes().vec(), at::kCPU), tensor_(QuantiseInt8(values_OI)) {}
  const Int8Tensor& tensor() const override { return tensor_; }
  std::shared_ptr<const MatrixTiles> Tiles(at::ScalarType type) const override {
    return Int8Tiles(tensor_, type);
  }

 private:
  Tensor Load(at::ScalarType type) const override { return DequantiseInt8(tensor_, type); }
  const Int8Tensor tensor_;
};

// Rows, inputs, outputs.
const struct {
  int64_t rows, inputs, outputs;
} kSizes[] = {{1, 64, 1}, {1, 576, 192}, {3, 1536, 33}, {8, 4160, 70}};

class RowGemmTest : public ::testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(1);
    torch::manual_seed(1);
  }
  void TearDown() override { at::set_num_threads(1); }

  // Beside float64, relative to the sums of absolute products.
  static void ExpectProduct(const Tensor& actual, const Tensor& x, const Tensor& weight_OI,
                            double tolerance) {
    const Tensor wide_x = x.to(at::kDouble), wide_w = weight_OI.to(at::kDouble).t();
    const Tensor error = (actual.to(at::kDouble) - at::mm(wide_x, wide_w)).abs();
    EXPECT_LE((error / at::mm(wide_x.abs(), wide_w.abs()).clamp_min(1e-30)).max().item<double>(), tolerance);
  }

  static Tensor Product(const Tensor& x, const WeightSlot& weight) {
    return Compute({.terms = {{x, &weight, {}, true}}});
  }
  static Tensor FewRowsProduct(const Tensor& x, const WeightSlot& weight) {
    const FewRowsScope scope;
    return Product(x, weight);
  }
};

TEST_F(RowGemmTest, Nf4EqualsTheDequantisedProductAndThePanels) {
  for (const auto& size : kSizes) {
    SCOPED_TRACE(::testing::Message() << size.rows << " " << size.inputs << " " << size.outputs);
    const Nf4TestSlot weight(torch::randn({size.outputs, size.inputs}));
    const Tensor x = torch::randn({size.rows, size.inputs}), w = weight.Materialise(at::kFloat);
    ASSERT_NE(MakeRowGemm(x, weight), nullptr);
    ExpectProduct(FewRowsProduct(x, weight), x, w, 1e-4);
    ExpectProduct(Product(x, weight), x, w, 1e-6);
    // Not rounded to bfloat16 on the way, as the panels' are.
    const Tensor rounded = x.to(at::kBFloat16);
    ExpectProduct(FewRowsProduct(rounded, weight), rounded, w, 1e-4);
    ExpectProduct(Product(rounded, weight), rounded, w, 0.005);
  }
}

TEST_F(RowGemmTest, EightBitsEqualTheDequantisedProduct) {
  for (const auto& size : kSizes) {
    SCOPED_TRACE(::testing::Message() << size.rows << " " << size.inputs << " " << size.outputs);
    const Int8TestSlot weight(torch::randn({size.outputs, size.inputs + 3}));
    const Tensor x = torch::randn({size.rows, size.inputs + 3}), w = weight.Materialise(at::kFloat);
    ASSERT_NE(MakeRowGemm(x, weight), nullptr);
    ExpectProduct(FewRowsProduct(x, weight), x, w, 1e-6);
    ExpectProduct(Product(x, weight), x, w, 1e-6);
    // Not rounded to bfloat16 on the way, as the panels' are.
    const Tensor rounded = x.to(at::kBFloat16);
    ExpectProduct(FewRowsProduct(rounded, weight), rounded, w, 1e-6);
  }
}

TEST_F(RowGemmTest, TensorsEqualTheProductInBothTypes) {
  for (const auto& size : kSizes) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      for (const int64_t odd : {0, 1, 31}) {
        SCOPED_TRACE(::testing::Message()
                     << size.rows << " " << size.inputs + odd << " " << size.outputs << " " << type);
        const TensorSlot weight("weight", torch::randn({size.outputs, size.inputs + odd}).to(type), false);
        const Tensor x = torch::randn({size.rows, size.inputs + odd}).to(type);
        ExpectProduct(FewRowsProduct(x, weight), x, weight.Materialise(type), 1e-6);
      }
    }
  }
}

TEST_F(RowGemmTest, ARowHasTheSameBitsWhateverTheThreadsAndTheRowsBesideIt) {
  const Nf4TestSlot weight(torch::randn({300, 320}));
  const Tensor x = torch::randn({7, 320}), whole = FewRowsProduct(x, weight);
  at::set_num_threads(3);
  EXPECT_TRUE(at::equal(FewRowsProduct(x, weight), whole));
  for (int64_t row = 0; row < 7; ++row)
    EXPECT_TRUE(at::equal(FewRowsProduct(x.narrow(0, row, 1), weight)[0], whole[row])) << row;
}

TEST_F(RowGemmTest, IsOneTermOfAFusedSum) {
  const Nf4TestSlot weight(torch::randn({70, 128}));
  const TensorSlot up("up", torch::randn({70, 8}), true);
  const Tensor x = torch::randn({2, 128}), down = torch::randn({2, 8}), start = torch::randn({2, 70}),
               bias = torch::randn({70});
  const FewRowsScope scope;
  const Tensor sum = Compute({.terms = {{x, &weight, {}, true}, {down, &up, {}, true}},
                              .scale = 2,
                              .start_NC = start,
                              .bias_C = bias});
  const Tensor expected =
      2 * (at::mm(x, weight.Materialise(at::kFloat).t()) + at::mm(down, up.Materialise(at::kFloat).t())) +
      start + bias;
  // Half a step of 128 columns and codes (kernels/nf4/nf4_rows.h), twice, is at most 0.04.
  EXPECT_LE((sum - expected).abs().max().item<double>(), 0.01);
}

TEST_F(RowGemmTest, PanelsTakeManyRowsAndOddBlocks) {
  const Nf4TestSlot whole(torch::randn({40, 128})), odd(torch::randn({40, 100}));
  EXPECT_EQ(MakeRowGemm(torch::randn({kMostFewRows + 1, 128}), whole), nullptr);
  EXPECT_EQ(MakeRowGemm(torch::randn({1, 100}), odd), nullptr);
  const Tensor x = torch::randn({2, 100});
  EXPECT_TRUE(at::equal(FewRowsProduct(x, odd), Product(x, odd)));
}

TEST_F(RowGemmTest, NobodyGetsThemUnasked) {
  const Nf4TestSlot weight(torch::randn({65, 1024}));
  const Tensor x = torch::randn({1, 1024});
  const Tensor panels = Product(x, weight);
  const Tensor few = FewRowsProduct(x, weight);
  EXPECT_FALSE(FewRowsScope::Active());
  EXPECT_TRUE(at::equal(Product(x, weight), panels));
  // The orders differ, so bits do: were they equal, this test could not tell the two apart.
  EXPECT_FALSE(at::equal(few, panels));
}

}  // namespace
}  // namespace ft::ops
