#include "worker/model/run/rope_tables.h"

#include "gtest/gtest.h"
#include "tests/support/test_device.h"
#include "worker/model/run/small_model_fixture.h"

namespace ft::run {
namespace {

using model::Mode;
using torch::Tensor;

// Rows of samples of these lengths; angles look at the same lengths.
PackedRows RowsOf(const std::vector<int32_t>& lengths) {
  static const std::vector<int32_t> ids(100, 1);
  std::vector<RowsSample> samples;
  for (const int32_t length : lengths)
    samples.push_back({.ids = std::span(ids).first(static_cast<size_t>(length)), .loss_mask = {}});
  return PackRows(samples, 0, 0);
}

// Two tables, one of which looks at lengths beyond 8.
model::DecoderConfig Config() {
  model::DecoderConfig config = SmallConfig();
  config.max_positions = 8;
  config.rotaries = {{.theta = 100},
                     {.size = 4, .scaling = {.kind = model::RopeScaling::Kind::kDynamic, .factor = 2}}};
  return config;
}

// What rows read: the angles of their positions, of samples that are as long as they.
void ExpectAngles(const std::vector<ops::RopeTable>& tables, const std::vector<int32_t>& lengths, Mode mode) {
  const model::DecoderConfig config = Config();
  ASSERT_EQ(tables.size(), config.rotaries.size());
  for (size_t i = 0; i < tables.size(); ++i) {
    std::vector<Tensor> cosines, sines;
    for (const int32_t length : lengths) {
      const ops::RopeTable own = model::MakeRopeTable(config, config.rotaries[i], length, length, mode);
      cosines.push_back(own.cosine_LP);
      sines.push_back(own.sine_LP);
    }
    const Tensor position_N = tables[i].position_N.cpu().to(at::kLong);
    EXPECT_TRUE(torch::equal(tables[i].cosine_LP.cpu().index_select(0, position_N), at::cat(cosines))) << i;
    EXPECT_TRUE(torch::equal(tables[i].sine_LP.cpu().index_select(0, position_N), at::cat(sines))) << i;
  }
}

TEST(RopeTables, RowsHaveTheAnglesOfTheirPositions) {
  const model::DecoderConfig config = Config();
  for (const Mode mode : {Mode::kTraining, Mode::kInference}) {
    RopeTables tables(config, TestDevice());
    for (const std::vector<int32_t>& lengths : std::vector<std::vector<int32_t>>{
             {5}, {3, 8, 1}, {6, 12, 20, 12}, {30}, {40, 50, 60, 70, 80}, {2}}) {
      ExpectAngles(tables.Of(RowsOf(lengths), mode), lengths, mode);
    }
  }
}

TEST(RopeTables, AnglesAreMadeOnceALengthAndGrow) {
  const model::DecoderConfig config = Config();
  RopeTables tables(config, TestDevice());
  const void* first = tables.Of(RowsOf({6, 4}), Mode::kTraining)[0].cosine_LP.const_data_ptr();
  EXPECT_EQ(tables.Of(RowsOf({5, 6, 2}), Mode::kTraining)[0].cosine_LP.const_data_ptr(), first);
  // Longer: by half at least.
  const Tensor grown = tables.Of(RowsOf({7}), Mode::kTraining)[0].cosine_LP;
  EXPECT_EQ(grown.size(0), 9);
  EXPECT_EQ(tables.Of(RowsOf({8, 8}), Mode::kTraining)[0].cosine_LP.const_data_ptr(), grown.const_data_ptr());
  // Other angles beside them, and these are still there.
  ExpectAngles(tables.Of(RowsOf({12}), Mode::kTraining), {12}, Mode::kTraining);
  EXPECT_EQ(tables.Of(RowsOf({8}), Mode::kTraining)[0].cosine_LP.const_data_ptr(), grown.const_data_ptr());
}

TEST(RopeTables, AGrowingTextContinuesAtItsPositions) {
  const model::DecoderConfig config = Config();
  RopeTables tables(config, TestDevice());
  PackedRows rows;
  rows.position_N = {5, 6};
  rows.segments = {{0, 2, 0, 7}};
  rows.rope_lengths = {7};
  const ops::RopeTable table = tables.Of(rows, Mode::kInference)[0];
  EXPECT_TRUE(torch::equal(table.position_N.cpu(), torch::tensor({5, 6}, torch::kInt32)));
  EXPECT_GE(table.cosine_LP.size(0), 7);
}

TEST(RopeTables, WithoutRotaryPositionsThereAreNone) {
  model::DecoderConfig config = SmallConfig();
  config.rotaries.clear();
  EXPECT_TRUE(RopeTables(config, TestDevice()).Of(RowsOf({4}), Mode::kTraining).empty());
}

}  // namespace
}  // namespace ft::run
