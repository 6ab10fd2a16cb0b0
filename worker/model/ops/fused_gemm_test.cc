// Fused GEMMs against float64, over sizes that divide into nothing, types, and threads.
#include "worker/model/ops/fused_gemm.h"

#include <ATen/Parallel.h>

#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "worker/model/ops/micro_gemm.h"
#include "worker/model/ops/nf4.h"
#include "worker/model/ops/tensor_slot_fixture.h"

namespace ft::ops {
namespace {

using torch::Tensor;

class FusedGemmTest : public ::testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(1);
    torch::manual_seed(1);
  }
};

Tensor Wide(const Tensor& tensor) { return tensor.to(at::kDouble); }

void ExpectClose(const Tensor& actual, const Tensor& expected, double tolerance) {
  ASSERT_EQ(actual.sizes(), expected.sizes());
  EXPECT_LE((Wide(actual) - expected).abs().max().item<double>(),
            tolerance * expected.abs().max().item<double>());
}

const struct {
  int64_t rows, inner, columns;
} kSizes[] = {{1, 1, 1},       {3, 5, 7},     {64, 64, 64},   {65, 33, 31},
              {127, 1030, 96}, {2, 2048, 40}, {1100, 70, 33}, {7, 514, 129}};

TEST_F(FusedGemmTest, EqualsFloat64OverOddSizesTypesAndTranspositions) {
  for (const auto& size : kSizes) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      for (const auto matrix_type : {at::kFloat, at::kBFloat16}) {
        for (const bool transposed : {false, true}) {
          SCOPED_TRACE(::testing::Message() << size.rows << " " << size.inner << " " << size.columns << " "
                                            << type << " " << matrix_type << " " << transposed);
          const Tensor a = torch::randn({size.rows, size.inner}).to(type);
          const Tensor matrix = (transposed ? torch::randn({size.columns, size.inner})
                                            : torch::randn({size.inner, size.columns}))
                                    .to(matrix_type);
          const Tensor expected = at::mm(Wide(a), Wide(transposed ? matrix.t() : matrix));
          ExpectClose(Compute({.terms = {{a, nullptr, matrix, transposed}}}), expected, 2e-6);
        }
      }
    }
  }
}

TEST_F(FusedGemmTest, AddsProductsStartAndBiasAndRoundsOnce) {
  const Tensor a = torch::randn({35, 66}), b = torch::randn({35, 3}), start = torch::randn({35, 50}),
               bias = torch::randn({50});
  const TensorSlot weight("w", torch::randn({50, 66}), false);
  const Tensor matrix = torch::randn({3, 50});
  FusedGemm sum{.terms = {{a, &weight, {}, true}, {b, nullptr, matrix}},
                .scale = 0.5,
                .start_NC = start,
                .bias_C = bias};
  const Tensor exact = (at::mm(Wide(a), Wide(weight.value()).t()) + at::mm(Wide(b), Wide(matrix))) * 0.5 +
                       Wide(start) + Wide(bias);
  const Tensor wide = Compute(sum);
  ExpectClose(wide, exact, 2e-6);
  sum.type = at::kBFloat16;
  EXPECT_TRUE(at::equal(Compute(sum), wide.to(at::kBFloat16)));
  sum.type = at::kFloat;
  sum.in_place = true;
  EXPECT_TRUE(Compute(sum).is_alias_of(start));
  EXPECT_TRUE(at::equal(start, wide));
}

// Frozen 4-bit codes of a shape, as the slots of a quantised base hold them.
class CodesSlot final : public WeightSlot {
 public:
  explicit CodesSlot(Nf4Tensor tensor)
      : WeightSlot("codes", tensor.shape, at::kCPU), tensor_(std::move(tensor)) {}
  std::shared_ptr<const MatrixTiles> Tiles(at::ScalarType type) const override {
    return Nf4Tiles(tensor_, type);
  }

 private:
  Tensor Load(at::ScalarType type) const override { return DequantiseNf4(tensor_, type); }
  const Nf4Tensor tensor_;
};

TEST_F(FusedGemmTest, AWeightInFourBitsGivesTheBitsOfItsDequantisedTensor) {
  for (const auto& [outputs, inputs] :
       {std::pair{64, 128}, std::pair{33, 70}, std::pair{96, 1056}, std::pair{530, 96}}) {
    const CodesSlot codes(QuantiseNf4(torch::randn({outputs, inputs})));
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const Tensor matrix = codes.Materialise(type);
      const Tensor x = torch::randn({40, inputs}).to(type), dy = torch::randn({40, outputs}).to(type);
      EXPECT_TRUE(at::equal(Compute({.terms = {{x, &codes, {}, true}}}),
                            Compute({.terms = {{x, nullptr, matrix, true}}})));
      EXPECT_TRUE(at::equal(Compute({.terms = {{dy, &codes}}}), Compute({.terms = {{dy, nullptr, matrix}}})));
    }
  }
}

TEST_F(FusedGemmTest, GivesTheSameBitsForAnyNumberOfThreadsAndAnyCompany) {
  std::vector<FusedGemm> sums;
  for (const auto& size : kSizes) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const Tensor a = torch::randn({size.rows, size.inner}).to(type),
                   matrix = torch::randn({size.inner, size.columns}).to(type);
      sums.push_back({.terms = {{a, nullptr, matrix}}, .type = type});
    }
  }
  const std::vector<Tensor> one = Compute(sums);
  for (const int threads : {2, 3}) {
    at::set_num_threads(threads);
    const std::vector<Tensor> more = Compute(sums);
    for (size_t i = 0; i < sums.size(); ++i) {
      EXPECT_TRUE(at::equal(one[i], more[i])) << i;
      EXPECT_TRUE(at::equal(one[i], Compute(sums[i]))) << i;
    }
  }
}

TEST_F(FusedGemmTest, ARowsBitsDependOnItsOwnValuesOnly) {
  const Tensor a = torch::randn({130, 600}), matrix = torch::randn({600, 45});
  const Tensor whole = Compute({.terms = {{a, nullptr, matrix}}});
  for (const int64_t rows : {1, 2, 7, 63, 64, 65, 129}) {
    const Tensor part = Compute({.terms = {{a.narrow(0, 130 - rows, rows), nullptr, matrix}}});
    EXPECT_TRUE(at::equal(part, whole.narrow(0, 130 - rows, rows))) << rows;
  }
}

}  // namespace
}  // namespace ft::ops
