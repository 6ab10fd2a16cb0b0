#include "worker/train/comm/comm.h"

#include <algorithm>
#include <bit>

#include "core/base/check.h"

namespace ft::comm {
namespace {

constexpr size_t kBlock =
    1024;  // Floats added at a time: the partial sums of a tree stay in the first cache.

// How many of `inputs` go left: the largest power of two below their number.
size_t LeftOf(size_t inputs) { return std::bit_ceil(inputs) / 2; }

void AddBlock(std::span<const float* const> inputs, size_t begin, size_t count, float* sum) {
  if (inputs.size() == 1) {
    std::copy_n(inputs[0] + begin, count, sum);
    return;
  }
  const size_t left = LeftOf(inputs.size());
  float right[kBlock];
  AddBlock(inputs.first(left), begin, count, sum);
  AddBlock(inputs.subspan(left), begin, count, right);
  for (size_t i = 0; i < count; ++i) sum[i] += right[i];
}

class SoleComm : public Comm {
 public:
  SoleComm() : Comm(0, 1, {}) {}
  std::string_view transport() const override { return "none"; }

 private:
  Status DoAllGather(std::span<const std::byte>, std::span<std::byte>) override { return absl::OkStatus(); }
  Status DoAllReduceSum(std::span<float>) override { return absl::OkStatus(); }
  Status DoBroadcast(int, std::span<std::byte>) override { return absl::OkStatus(); }
  Status DoBarrier() override { return absl::OkStatus(); }
};

}  // namespace

Status Comm::Run(std::string_view operation, int64_t received, const std::function<Status()>& body) {
  if (size_ == 1) return absl::OkStatus();
  RETURN_IF_ERROR(failure_);
  operation_ = operation;
  failure_ =
      WithContext(body(), StrCat("rank ", rank_, " of ", size_, ": ", operation, " over ", transport()));
  if (failure_.ok()) wire_bytes_ += received;
  return failure_;
}

void Comm::TellWait(int missing) const {
  if (options_.waiting) options_.waiting({operation_, sequence_, missing});
}

Status Comm::AllGather(std::span<const std::byte> mine, std::span<std::byte> all) {
  FT_CHECK(all.size() == mine.size() * static_cast<size_t>(size_))
      << all.size() << " for " << size_ << " of " << mine.size();
  if (size_ == 1) std::copy(mine.begin(), mine.end(), all.begin());
  return Run("all-gather", static_cast<int64_t>(mine.size()) * (size_ - 1),
             [&] { return DoAllGather(mine, all); });
}

Status Comm::AllReduceSum(std::span<float> values) {
  const size_t own = ChunkOf(values.size(), rank_, size_).size();
  const size_t received = (own * static_cast<size_t>(size_ - 1) + values.size() - own) * sizeof(float);
  return Run("tree sum", static_cast<int64_t>(received), [&] { return DoAllReduceSum(values); });
}

Status Comm::Broadcast(int root, std::span<std::byte> bytes) {
  FT_CHECK(root >= 0 && root < size_) << root << " of " << size_;
  const int64_t received = rank_ == root ? 0 : static_cast<int64_t>(bytes.size());
  return Run("broadcast", received, [&] { return DoBroadcast(root, bytes); });
}

Status Comm::Barrier() {
  return Run("barrier", 0, [&] { return DoBarrier(); });
}

std::unique_ptr<Comm> SingleRankComm() { return std::make_unique<SoleComm>(); }

Chunk ChunkOf(size_t count, int part, int parts) {
  const auto at = [&](int edge) { return count * static_cast<size_t>(edge) / static_cast<size_t>(parts); };
  return {at(part), at(part + 1)};
}

void TreeAdd(std::span<const float* const> inputs, size_t count, float* out) {
  float sum[kBlock];
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t length = std::min(kBlock, count - begin);
    AddBlock(inputs, begin, length, sum);
    std::copy_n(sum, length, out + begin);
  }
}

double TreeAdd(std::span<const double> numbers) {
  if (numbers.size() == 1) return numbers[0];
  const size_t left = LeftOf(numbers.size());
  return TreeAdd(numbers.first(left)) + TreeAdd(numbers.subspan(left));
}

}  // namespace ft::comm
