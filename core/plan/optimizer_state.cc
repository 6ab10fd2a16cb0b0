#include "core/plan/optimizer_state.h"

#include <algorithm>

#include "core/base/check.h"

namespace ft::plan {
namespace {

constexpr StateArray kMoments[] = {{.name = ".exp_avg"}, {.name = ".exp_avg_sq"}};

// bitsandbytes keeps tensors of fewer than 4,096 weights in float32: they are biases and norms, which bear rounding badly and weigh nothing.
constexpr int64_t kLeast8bit = 4096;
constexpr StateArray kMoments8bit[] = {
    {.name = ".exp_avg", .most = kLeast8bit - 1},
    {.name = ".exp_avg_sq", .most = kLeast8bit - 1},
    {.name = ".exp_avg", .type = StateType::kUint8, .least = kLeast8bit},
    {.name = ".exp_avg.absmax", .weights_per_item = kGranule, .least = kLeast8bit},
    {.name = ".exp_avg_sq", .type = StateType::kUint8, .least = kLeast8bit},
    {.name = ".exp_avg_sq.absmax", .weights_per_item = kGranule, .least = kLeast8bit},
};

}  // namespace

std::span<const StateArray> StateArraysOf(std::string_view kind) {
  if (kind == "adamw" || kind == "paged_adamw") return kMoments;
  if (kind == "adamw_8bit") return kMoments8bit;
  FT_CHECK(kind == "sgd") << "no optimizer " << kind;
  return {};
}

double StateBytesPerWeight(std::string_view kind) {
  double bytes = 0;
  for (const StateArray& array : StateArraysOf(kind)) {
    if (array.most == std::numeric_limits<int64_t>::max())
      bytes += static_cast<double>(BytesOf(array.type)) / static_cast<double>(array.weights_per_item);
  }
  return bytes;
}

ArrayLayout ArrayLayout::Of(const SliceTable& table, const Share& share, const StateArray& array) {
  static_assert(kSliceGranule % kGranule == 0);
  ArrayLayout layout;
  const std::span<const TensorRange> ranges = table.ranges();
  layout.by_tensor_.resize(ranges.size());
  std::vector<size_t> by_place;
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].elements > 0 && array.IsOf(ranges[i].elements)) by_place.push_back(i);
  }
  std::sort(by_place.begin(), by_place.end(),
            [&](size_t a, size_t b) { return ranges[a].begin < ranges[b].begin; });
  auto part = share.parts().begin();
  for (const size_t i : by_place) {
    const Extent whole = PaddedOf(ranges[i]);
    while (part != share.parts().end() && part->whole.end <= whole.begin) ++part;
    if (part == share.parts().end()) break;
    // A rank owns neighbouring slices of a unit, so all of a tensor that it has lies in one part.
    const Extent owned{std::max(whole.begin, part->whole.begin), std::min(whole.end, part->whole.end)};
    if (owned.begin >= owned.end) continue;
    const int64_t count = array.Items(owned.end - owned.begin);
    layout.by_tensor_[i] = {layout.items_, count, owned};
    layout.items_ += count;
  }
  return layout;
}

}  // namespace ft::plan
