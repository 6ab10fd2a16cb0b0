#include "core/plan/optimizer_state.h"

#include <gtest/gtest.h>

#include <set>

namespace ft::plan {
namespace {

SliceTable Table() {
  return SliceTable::Of({{"c", {50, 100}, 0}, {"a", {7}, 1}, {"b", {30, 200}, 1}, {"d", {4095}, 2}});
}

constexpr const char* kKinds[] = {"adamw", "paged_adamw", "adamw_8bit", "sgd"};

TEST(OptimizerStateTest, BytesOfAWeightAreThoseOfTheLiterature) {
  EXPECT_EQ(StateBytesPerWeight("adamw"), 8);
  EXPECT_EQ(StateBytesPerWeight("paged_adamw"), 8);
  EXPECT_EQ(StateBytesPerWeight("adamw_8bit"), 2 + 2 * 4.0 / 256);
  EXPECT_EQ(StateBytesPerWeight("sgd"), 0);
}

TEST(OptimizerStateTest, NoTensorHasTwoArraysOfOneName) {
  for (const char* kind : kKinds) {
    for (const int64_t elements : {1, 4095, 4096, 1 << 20}) {
      std::set<std::string_view> names;
      for (const StateArray& array : StateArraysOf(kind)) {
        if (array.IsOf(elements)) {
          EXPECT_TRUE(names.insert(array.name).second) << kind << array.name;
        }
      }
    }
  }
}

TEST(OptimizerStateTest, SmallTensorsOf8BitsStayFloat32) {
  const auto types = [](int64_t elements) {
    std::vector<StateType> types;
    for (const StateArray& array : StateArraysOf("adamw_8bit")) {
      if (array.IsOf(elements)) types.push_back(array.type);
    }
    return types;
  };
  EXPECT_EQ(types(4095), (std::vector{StateType::kFloat32, StateType::kFloat32}));
  EXPECT_EQ(types(4096),
            (std::vector{StateType::kUint8, StateType::kFloat32, StateType::kUint8, StateType::kFloat32}));
}

// An array of everything lies as the share does.
TEST(ArrayLayoutTest, OfEveryTensorItIsTheShare) {
  const SliceTable table = Table();
  for (int rank = 0; rank < 2; ++rank) {
    const Share share = Share::Of(Slices(table, 4), {rank, 2});
    const ArrayLayout layout = ArrayLayout::Of(table, share, {.name = ".x"});
    EXPECT_EQ(layout.items(), share.elements());
    for (size_t i = 0; i < table.ranges().size(); ++i) {
      const ArrayLayout::Items& items = layout.OfTensor(static_cast<int>(i));
      EXPECT_EQ(items.count, items.weights.end - items.weights.begin);
      for (const Share::Part& part : share.parts()) {
        if (items.count > 0 && part.whole.begin <= items.weights.begin &&
            items.weights.begin < part.whole.end) {
          EXPECT_EQ(items.begin, part.begin + items.weights.begin - part.whole.begin) << i;
        }
      }
    }
  }
}

// Ranks together have what one has, whatever of it each owns.
TEST(ArrayLayoutTest, TheItemsOfRanksAreThoseOfTheWhole) {
  const SliceTable table = Table();
  for (const char* kind : kKinds) {
    for (const StateArray& array : StateArraysOf(kind)) {
      const ArrayLayout whole = ArrayLayout::Of(table, Share::Whole(table.elements()), array);
      for (const int ranks : {1, 2, 4}) {
        int64_t items = 0;
        std::vector<int64_t> of_tensors(table.ranges().size());
        for (int rank = 0; rank < ranks; ++rank) {
          const ArrayLayout own = ArrayLayout::Of(table, Share::Of(Slices(table, 4), {rank, ranks}), array);
          items += own.items();
          for (size_t i = 0; i < of_tensors.size(); ++i)
            of_tensors[i] += own.OfTensor(static_cast<int>(i)).count;
        }
        EXPECT_EQ(items, whole.items()) << kind << array.name;
        for (size_t i = 0; i < of_tensors.size(); ++i)
          EXPECT_EQ(of_tensors[i], whole.OfTensor(static_cast<int>(i)).count) << kind << array.name << i;
      }
    }
  }
}

}  // namespace
}  // namespace ft::plan
