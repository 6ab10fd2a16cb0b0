#include "worker/train/comm/comm.h"

#include <algorithm>
#include <bit>
#include <numeric>

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
  Status DoAllGather(std::span<const std::byte>, std::span<const size_t>, std::span<std::byte>) override {
    return absl::OkStatus();
  }
  Status DoAllReduceSum(std::span<float>) override { return absl::OkStatus(); }
  Status DoReduceScatterSum(std::span<const float>, std::span<const size_t>, int, std::span<float>) override {
    return absl::OkStatus();
  }
  Status DoBroadcast(int, std::span<std::byte>) override { return absl::OkStatus(); }
  Status DoBarrier() override { return absl::OkStatus(); }
};

}  // namespace

const Comm::Operation Comm::kGathers{"all-gather", &plan::WireBytes::all_gather};
const Comm::Operation Comm::kSums{"tree sum", &plan::WireBytes::tree_sum};
const Comm::Operation Comm::kScatters{"reduce-scatter", &plan::WireBytes::reduce_scatter};
const Comm::Operation Comm::kBroadcasts{"broadcast", &plan::WireBytes::broadcast};
const Comm::Operation Comm::kBarriers{"barrier"};

Status Comm::Run(const Operation& operation, std::string_view carrier, int64_t received,
                 const std::function<Status()>& body) {
  if (size_ == 1) return absl::OkStatus();
  RETURN_IF_ERROR(failure_);
  operation_ = what_.empty() ? std::string(operation.name) : StrCat(operation.name, " of ", what_);
  failure_ = WithContext(body(), StrCat("rank ", rank_, " of ", size_, ": ", operation_, " over ", carrier));
  if (failure_.ok() && operation.counter != nullptr) wire_bytes_.*operation.counter += received;
  return failure_;
}

void Comm::TellWait(int missing) const {
  if (options_.waiting) options_.waiting({operation_, sequence_, missing});
}

Status Comm::AllGather(std::span<const std::byte> mine, std::span<std::byte> all) {
  FT_CHECK(all.size() == mine.size() * static_cast<size_t>(size_))
      << all.size() << " for " << size_ << " of " << mine.size();
  if (size_ == 1) std::copy(mine.begin(), mine.end(), all.begin());
  return Run(kGathers, transport(), static_cast<int64_t>(mine.size()) * (size_ - 1),
             [&] { return DoAllGather(mine, all); });
}

Status Comm::AllGather(std::span<const std::byte> mine, std::span<const size_t> counts,
                       std::span<std::byte> all) {
  CheckParts(counts, mine.size(), all.size());
  if (size_ == 1 && mine.data() != all.data()) std::copy(mine.begin(), mine.end(), all.begin());
  if (all.empty()) return failure_;
  return Run(kGathers, transport(), static_cast<int64_t>(all.size() - mine.size()),
             [&] { return DoAllGather(mine, counts, all); });
}

int64_t Comm::ReceivedInSum(size_t count) const {
  return plan::ReceivedInTreeSum(static_cast<int64_t>(count), {rank_, size_});
}

int64_t Comm::ReceivedInScatter(size_t own_count, int contributors) const {
  const int others = contributors - (rank_ < contributors ? 1 : 0);
  return static_cast<int64_t>(own_count * sizeof(float)) * others;
}

void Comm::CheckParts(std::span<const size_t> counts, size_t own, size_t whole) const {
  FT_CHECK(counts.size() == static_cast<size_t>(size_) && counts[static_cast<size_t>(rank_)] == own &&
           std::accumulate(counts.begin(), counts.end(), size_t{0}) == whole)
      << own << " of " << whole;
}

Status Comm::AllReduceSum(std::span<float> values) {
  return Run(kSums, transport(), ReceivedInSum(values.size()), [&] { return DoAllReduceSum(values); });
}

Status Comm::ReduceScatterSum(std::span<const float> values, std::span<const size_t> counts, int contributors,
                              std::span<float> own) {
  CheckParts(counts, own.size(), values.size());
  FT_CHECK(contributors >= 1 && contributors <= size_) << contributors << " of " << size_;
  if (size_ == 1) std::copy(values.begin(), values.end(), own.begin());
  if (values.empty()) return failure_;
  return Run(kScatters, transport(), ReceivedInScatter(own.size(), contributors),
             [&] { return DoReduceScatterSum(values, counts, contributors, own); });
}

Status Comm::Broadcast(int root, std::span<std::byte> bytes) {
  FT_CHECK(root >= 0 && root < size_) << root << " of " << size_;
  const int64_t received = rank_ == root ? 0 : static_cast<int64_t>(bytes.size());
  return Run(kBroadcasts, transport(), received, [&] { return DoBroadcast(root, bytes); });
}

Status Comm::Barrier() {
  return Run(kBarriers, transport(), 0, [&] { return DoBarrier(); });
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
