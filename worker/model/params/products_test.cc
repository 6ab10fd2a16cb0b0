// Products by the slots of a model, as layers with adapters make them, against float64: the host's, panel by panel, and those of a device,
// where terms are joined in an arena (worker/model/ops/joined_gemm.h). Legend: N rows, I inputs, O outputs, R rank.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/test_device.h"
#include "worker/device/staging.h"
#include "worker/model/ops/fused_gemm.h"
#include "worker/model/ops/joined_rows.h"
#include "worker/model/ops/weight_arena.h"
#include "worker/model/params/int8_slot.h"
#include "worker/model/params/nf4_slot.h"
#include "worker/model/params/resident_slot.h"

namespace ft::params {
namespace {

using ops::FusedGemm;
using ops::WeightArena;
using torch::Tensor;

// Made on the host: the same values on every device.
Tensor Draw(at::IntArrayRef shape, at::ScalarType type = at::kFloat) {
  return device::Upload(torch::randn(shape).to(type), TestDevice());
}

std::unique_ptr<ops::WeightSlot> Frozen(const std::string& kind, int64_t outputs, int64_t inputs,
                                        at::ScalarType type) {
  const Tensor value = torch::randn({outputs, inputs});
  if (kind == "nf4")
    return std::make_unique<Nf4Slot>("w", ops::ToDevice(ops::QuantiseNf4(value), TestDevice()));
  if (kind == "resident")
    return std::make_unique<ResidentSlot>("w", device::Upload(value.to(type), TestDevice()));
  const ops::Int8Tensor codes = ops::QuantiseInt8(value);
  return std::make_unique<Int8Slot>("w", ops::Int8Tensor{device::Upload(codes.codes_OI, TestDevice()),
                                                         device::Upload(codes.absmax_O, TestDevice())});
}

// A layer with an adapter: W, and A and B as a product sees them, in its type.
struct Layer {
  std::unique_ptr<ops::WeightSlot> weight_OI, a_RI, b_OR;

  Layer(const std::string& kind, int64_t outputs, int64_t inputs, int64_t rank, at::ScalarType type)
      : weight_OI(Frozen(kind, outputs, inputs, type)),
        a_RI(Frozen("resident", rank, inputs, type)),
        b_OR(Frozen("resident", outputs, rank, type)) {}
};

// What a sum is without rounding, and the sum of its products' sizes, which its error in float32 goes by.
struct Exact {
  Tensor sum_NC, sizes_NC;

  void Add(const Tensor& part, const Tensor& size) {
    sum_NC = sum_NC.defined() ? sum_NC + part : part;
    sizes_NC = sizes_NC.defined() ? sizes_NC + size : size;
  }
};

Tensor Wide(const Tensor& tensor) { return device::Download(tensor).to(at::kDouble); }

Exact ExactOf(const FusedGemm& gemm) {
  Exact exact;
  for (const ops::GemmTerm& term : gemm.terms) {
    const Tensor matrix =
        Wide(term.weight == nullptr ? term.matrix : term.weight->Materialise(term.a_NK.scalar_type()));
    const Tensor a = Wide(term.a_NK), b = term.transposed ? matrix.t() : matrix;
    exact.Add(at::mm(a, b) * gemm.scale, at::mm(a.abs(), b.abs()) * std::fabs(gemm.scale));
  }
  for (const Tensor& added : {gemm.start_NC, gemm.bias_C}) {
    if (added.defined()) exact.Add(Wide(added), Wide(added).abs());
  }
  return exact;
}

// That `actual` is the exact sum rounded to its type once, but for the error of sums in float32.
void ExpectRoundedOnce(const Tensor& actual, const Exact& exact) {
  ASSERT_EQ(actual.sizes(), exact.sum_NC.sizes());
  const double half_unit = actual.scalar_type() == at::kBFloat16 ? std::ldexp(1.0, -8) : std::ldexp(1.0, -23);
  const Tensor allowed = exact.sum_NC.abs() * half_unit + exact.sizes_NC * 2e-6 + 1e-30;
  const Tensor excess = (Wide(actual) - exact.sum_NC).abs() - allowed;
  EXPECT_LE(excess.max().item<double>(), 0);
}

const struct Size {
  int64_t rows, inputs, outputs, rank;
} kSizes[] = {{1, 1, 1, 1},    {3, 5, 7, 2},     {65, 33, 31, 4},
              {16, 64, 48, 8}, {7, 130, 129, 3}, {2, 520, 40, 16}};

class ProductsTest : public ::testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(3); }

  // Forward products of layers that read one input, one with its adapter, one without.
  static std::vector<FusedGemm> Forward(const Tensor& x_NI, const std::vector<const Layer*>& layers) {
    std::vector<FusedGemm> gemms;
    for (const Layer* layer : layers) {
      const Tensor down_NR = Draw({x_NI.size(0), layer->a_RI->shape()[0]}, x_NI.scalar_type());
      gemms.push_back(
          {.terms = {{x_NI, layer->weight_OI.get(), {}, true}, {down_NR, layer->b_OR.get(), {}, true}}});
    }
    return gemms;
  }
  // The gradient of their input.
  static FusedGemm Backward(const Size& size, at::ScalarType type, const std::vector<const Layer*>& layers) {
    FusedGemm gemm{.type = type};
    for (const Layer* layer : layers) {
      gemm.terms.push_back(
          {Draw({size.rows, layer->weight_OI->shape()[0]}, type), layer->weight_OI.get(), {}, false});
      gemm.terms.push_back({Draw({size.rows, layer->a_RI->shape()[0]}, type), layer->a_RI.get(), {}, false});
    }
    return gemm;
  }
};

template <typename Test>
void ForSizesKindsAndTypes(Test test) {
  for (const Size& size : kSizes) {
    for (const char* kind : {"nf4", "int8", "resident"}) {
      for (const auto type : {at::kFloat, at::kBFloat16}) {
        SCOPED_TRACE(::testing::Message()
                     << kind << " " << type << " rows " << size.rows << " inputs " << size.inputs
                     << " outputs " << size.outputs << " rank " << size.rank);
        test(size, kind, type);
      }
    }
  }
}

TEST_F(ProductsTest, ForwardIsTheSumOfItsPartsRoundedOnce) {
  ForSizesKindsAndTypes([](const Size& size, const char* kind, at::ScalarType type) {
    const Layer narrow(kind, size.outputs, size.inputs, size.rank, type),
        wide(kind, size.outputs + 9, size.inputs, size.rank + 5, type);
    const Tensor x_NI = Draw({size.rows, size.inputs}, type);
    std::vector<FusedGemm> gemms = Forward(x_NI, {&narrow, &wide, &narrow});
    gemms[1].type = gemms[2].type = type;
    gemms[0].start_NC = Draw({size.rows, size.outputs});
    gemms[2].bias_C = Draw({size.outputs});
    gemms.push_back({.terms = {{x_NI, wide.weight_OI.get(), {}, true}}, .scale = 0.25F, .type = type});
    const std::vector<Tensor> results = ops::Compute(gemms);
    for (size_t i = 0; i < gemms.size(); ++i) {
      SCOPED_TRACE(i);
      EXPECT_EQ(results[i].scalar_type(), gemms[i].type);
      EXPECT_TRUE(results[i].is_contiguous());
      ExpectRoundedOnce(results[i], ExactOf(gemms[i]));
    }
  });
}

// On a device that joins products; on the host each result is its own.
TEST_F(ProductsTest, ResultsOfLayersOfOneInputMayBeColumnsOfOneProduct) {
  ForSizesKindsAndTypes([](const Size& size, const std::string& kind, at::ScalarType type) {
    const Layer narrow(kind, size.outputs, size.inputs, size.rank, type),
        wide(kind, size.outputs + 9, size.inputs, size.rank + 5, type);
    const Tensor x_NI = Draw({size.rows, size.inputs}, type);
    std::vector<FusedGemm> gemms = Forward(x_NI, {&narrow, &wide, &narrow});
    gemms[1].bias_C = Draw({size.outputs + 9});
    gemms.push_back({.terms = {{x_NI, wide.weight_OI.get(), {}, true}}});
    const std::vector<Tensor> results = ops::Compute(gemms, ops::ResultRows::kSharedIfCopied);
    const bool shares = !TestDevice().is_cpu() && type == at::kBFloat16;
    for (size_t i = 0; i < gemms.size(); ++i) {
      SCOPED_TRACE(i);
      ExpectRoundedOnce(results[i], ExactOf(gemms[i]));
      // A matrix that lies in memory as it is multiplied is not copied for the sake of the others.
      if (i > 0) {
        EXPECT_EQ(results[i].is_alias_of(results[0]), shares && (i < 3 || kind != "resident"));
      }
    }
  });
}

TEST_F(ProductsTest, DownProjectionsMayBeOneProduct) {
  ForSizesKindsAndTypes([](const Size& size, const std::string& kind, at::ScalarType type) {
    if (kind != "resident") return;  // No adapter is another.
    const Layer one(kind, 1, size.inputs, size.rank, type), two(kind, 1, size.inputs, size.rank + 3, type);
    const Tensor x_NI = Draw({size.rows, size.inputs}, type);
    std::vector<FusedGemm> gemms;
    for (const Layer* layer : {&one, &two, &one})
      gemms.push_back({.terms = {{x_NI, layer->a_RI.get(), {}, true}}, .scale = 0.5F, .type = type});
    gemms[2].scale = 2;
    const std::vector<Tensor> results = ops::Compute(gemms, ops::ResultRows::kShared);
    for (size_t i = 0; i < gemms.size(); ++i) ExpectRoundedOnce(results[i], ExactOf(gemms[i]));
    const bool shares = !TestDevice().is_cpu() && type == at::kBFloat16;
    EXPECT_EQ(results[1].is_alias_of(results[0]), shares);
    EXPECT_FALSE(results[2].is_alias_of(results[0])) << "another scale";
  });
}

TEST_F(ProductsTest, BackwardIsTheSumOfItsPartsRoundedOnce) {
  ForSizesKindsAndTypes([](const Size& size, const char* kind, at::ScalarType type) {
    const Layer one(kind, size.outputs, size.inputs, size.rank, type),
        two(kind, size.outputs + 3, size.inputs, size.rank + 2, type);
    FusedGemm gemm = Backward(size, type, {&one, &two});
    ExpectRoundedOnce(ops::Compute(gemm), ExactOf(gemm));
    gemm.start_NC = Draw({size.rows, size.inputs});
    ExpectRoundedOnce(ops::Compute(gemm), ExactOf(gemm));
  });
}

TEST_F(ProductsTest, AnAdapterInAnotherTypeIsAddedInItsOwn) {
  const Layer base("nf4", 40, 33, 4, at::kBFloat16), adapter("resident", 40, 33, 4, at::kFloat);
  const Tensor x_NI = Draw({5, 33}, at::kBFloat16);
  const FusedGemm gemm{
      .terms = {{x_NI, base.weight_OI.get(), {}, true}, {Draw({5, 4}), adapter.b_OR.get(), {}, true}},
      .type = at::kBFloat16};
  ExpectRoundedOnce(ops::Compute(gemm), ExactOf(gemm));
}

// Bytes that the test's device gave to tensors since it was opened.
int64_t GivenBytes() {
  const auto whole = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return c10::getDeviceAllocator(TestDevice().type())
      ->getDeviceStats(TestDevice().index())
      .allocated_bytes[whole]
      .allocated;
}

class ArenaTest : public ProductsTest {
 protected:
  void SetUp() override {
    ProductsTest::SetUp();
    if (TestDevice().is_cpu()) GTEST_SKIP() << "the host has no arena: its weights are read panel by panel";
  }
};

TEST_F(ArenaTest, IsUsedAgain) {
  const Size size{16, 64, 128, 8};
  const Layer layer("nf4", size.outputs, size.inputs, size.rank, at::kBFloat16);
  const FusedGemm gemm = Backward(size, at::kBFloat16, {&layer});
  ops::Compute(gemm);
  const int64_t before = GivenBytes();
  ops::Compute(gemm);
  // The rows beside each other, and the result.
  EXPECT_EQ(GivenBytes() - before, 16 * (128 + 8) * 2 + 256 + 16 * 64 * 2);
}

TEST_F(ArenaTest, RowsWithRoomAreCopiedNowhere) {
  const Size size{16, 64, 128, 8};
  const Layer layer("nf4", size.outputs, size.inputs, size.rank, at::kBFloat16);
  const int64_t room = ops::RoomFor(size.inputs, 2 * size.rank, TestDevice());
  ASSERT_EQ(room, 16);
  const Tensor x_NI =
      ops::RowsWithRoom(size.rows, size.inputs, room, at::TensorOptions(TestDevice()).dtype(at::kBFloat16));
  x_NI.copy_(Draw({size.rows, size.inputs}, at::kBFloat16));
  for (const auto rows : {ops::ResultRows::kApart, ops::ResultRows::kSharedIfCopied}) {
    const std::vector<FusedGemm> gemms = Forward(x_NI, {&layer, &layer});
    const Tensor before_NI = x_NI.contiguous();
    ops::Compute(gemms, rows);
    const int64_t before = GivenBytes();
    const std::vector<Tensor> results = ops::Compute(gemms, rows);
    EXPECT_EQ(GivenBytes() - before, 2 * 16 * 128 * 4);  // The results.
    for (size_t i = 0; i < gemms.size(); ++i) ExpectRoundedOnce(results[i], ExactOf(gemms[i]));
    EXPECT_TRUE(at::equal(x_NI, before_NI));
    EXPECT_EQ(x_NI._version(), 1u) << "saved rows would count as overwritten";
  }
}

TEST_F(ArenaTest, WhatItHeldChangesNothing) {
  const std::shared_ptr<WeightArena> arena = WeightArena::On(TestDevice());
  const auto fill = [&](double value) { arena->Take(200, 1000, at::kFloat).tensor().fill_(value); };
  for (const Size& size : kSizes) {
    const Layer layer("nf4", size.outputs, size.inputs, size.rank, at::kBFloat16);
    std::vector<FusedGemm> gemms = Forward(Draw({size.rows, size.inputs}, at::kBFloat16), {&layer});
    gemms.push_back(Backward(size, at::kBFloat16, {&layer, &layer}));
    for (const FusedGemm& gemm : gemms) {
      fill(0);
      const Tensor expected = ops::Compute(gemm);
      fill(std::numeric_limits<double>::quiet_NaN());
      EXPECT_TRUE(at::equal(ops::Compute(gemm), expected)) << size.inputs;
    }
    gemms = Forward(gemms[0].terms[0].a_NK, {&layer, &layer});
    fill(0);
    const Tensor expected = ops::Compute(gemms, ops::ResultRows::kSharedIfCopied)[1];
    fill(std::numeric_limits<double>::quiet_NaN());
    EXPECT_TRUE(at::equal(ops::Compute(gemms, ops::ResultRows::kSharedIfCopied)[1], expected));
  }
}

TEST_F(ArenaTest, IsSharedByTheWeightsOfADeviceAndGoesWithTheLast) {
  std::weak_ptr<WeightArena> arena;
  {
    const Layer one("nf4", 8, 8, 2, at::kFloat), two("int8", 8, 8, 2, at::kFloat);
    arena = WeightArena::On(TestDevice());
    EXPECT_EQ(arena.lock(), WeightArena::On(TestDevice()));
  }
  EXPECT_TRUE(arena.expired());
}

}  // namespace
}  // namespace ft::params
