#include "worker/train/comm/nccl.h"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "core/base/check.h"
#include "worker/model/ops/flat.h"
#include "worker/model/ops/kernel_table.h"

namespace ft::comm {
namespace {

using Clock = std::chrono::steady_clock;
using torch::Tensor;

constexpr auto kPollInterval = std::chrono::microseconds(100);
constexpr auto kCheckInterval = std::chrono::milliseconds(50);

std::byte* Bytes(const Tensor& tensor) { return static_cast<std::byte*>(tensor.mutable_data_ptr()); }

// The whole, flat, cut into parts of so many elements.
std::vector<Tensor> PartsOf(const Tensor& whole, std::span<const size_t> counts) {
  const Tensor whole_N = whole.view({-1});
  std::vector<Tensor> parts;
  int64_t begin = 0;
  for (const size_t count : counts) {
    parts.push_back(whole_N.narrow(0, begin, static_cast<int64_t>(count)));
    begin += parts.back().numel();
  }
  return parts;
}

// One communicator, from its making to its end.
class Communicator {
 public:
  Communicator(const cuda::NcclApi& nccl, cuda::NcclCommunicator made) : nccl_(nccl), made_(made) {}
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  ~Communicator() {
    if (made_ != nullptr) nccl_.destroy(made_);
  }
  cuda::NcclCommunicator get() const { return made_; }

  // What is under way in it comes to no end, here or, in time, at its peers.
  void Abort() {
    if (made_ != nullptr) nccl_.abort(made_);
    made_ = nullptr;
  }

  // Returns when what was called last has ended, which is soon: the device works on by itself.
  Status Settle(int result, const WaitCheck& check) {
    Clock::time_point next_check = Clock::now() + kCheckInterval;
    while (result == cuda::kNcclInProgress) {
      std::this_thread::sleep_for(kPollInterval);
      if (const int asked = nccl_.async_error(made_, &result); asked != cuda::kNcclSuccess) result = asked;
      if (result != cuda::kNcclInProgress || Clock::now() < next_check) continue;
      RETURN_IF_ERROR(check());
      next_check = Clock::now() + kCheckInterval;
    }
    return StatusOf(result);
  }

  // What went wrong since, of itself or at a peer.
  Status CheckAsync() {
    int result = cuda::kNcclSuccess;
    const int asked = nccl_.async_error(made_, &result);
    return StatusOf(asked != cuda::kNcclSuccess || result == cuda::kNcclInProgress ? asked : result);
  }

  Status StatusOf(int result) const {
    if (result == cuda::kNcclSuccess) return absl::OkStatus();
    const char* words = nccl_.last_error(made_);
    return absl::UnavailableError(StrCat(
        "NCCL says: ", nccl_.error_text(result), words == nullptr || *words == 0 ? "" : ", ",
        words == nullptr ? "" : words, " (NCCL_DEBUG=WARN in the worker's environment lets it say more)"));
  }

 private:
  const cuda::NcclApi& nccl_;
  cuda::NcclCommunicator made_;
};

class NcclCollectives : public DeviceCollectives {
 public:
  NcclCollectives(const cuda::NcclApi& nccl, int rank, int size, at::Device device,
                  const NcclOptions& options)
      : nccl_(nccl), rank_(rank), size_(size), device_(device), options_(options) {}

  Status Connect(const cuda::NcclUniqueId& id) {
    cuda::NcclCommunicator made = nullptr;
    const int result = nccl_.init_rank(&made, size_, id, rank_);
    communicator_ = std::make_unique<Communicator>(nccl_, made);
    const Clock::time_point deadline = Clock::now() + options_.timeout;
    return Or(communicator_->Settle(result, [&]() -> Status {
      if (Clock::now() < deadline) return absl::OkStatus();
      return absl::DeadlineExceededError("NCCL did not reach the other ranks' devices in time");
    }));
  }
  void Abort() { communicator_->Abort(); }

  std::string_view transport() const override { return "nccl"; }

  Status AllReduceSum(const Tensor& values, const WaitCheck& check) override {
    FT_CHECK(values.device() == device_);
    const Tensor flat_N = values.view({-1});
    const auto most = static_cast<int64_t>(options_.piece_floats);
    for (int64_t begin = 0; begin < flat_N.numel(); begin += most) {
      RETURN_IF_ERROR(Or(SumPiece(flat_N.narrow(0, begin, std::min(most, flat_N.numel() - begin)), check)));
    }
    return Or(Await(check));
  }

  Status Broadcast(int root, const Tensor& tensor, const WaitCheck& check) override {
    FT_CHECK(tensor.device() == device_);
    if (tensor.numel() == 0) return absl::OkStatus();
    RETURN_IF_ERROR(Or(communicator_->Settle(
        nccl_.broadcast(Bytes(tensor), tensor.nbytes(), root, communicator_->get(), Stream()), check)));
    return Or(Await(check));
  }

  // NCCL's own gather knows parts of one length only.
  Status AllGather(const Tensor& mine, std::span<const size_t> counts, const Tensor& all,
                   const WaitCheck& check) override {
    FT_CHECK(mine.device() == device_ && all.device() == device_);
    const std::vector<Tensor> parts = PartsOf(all, counts);
    const bool equal =
        std::adjacent_find(counts.begin(), counts.end(), std::not_equal_to<>()) == counts.end();
    RETURN_IF_ERROR(Or(equal ? GatherEqual(mine, all, check)
                             : Exchange(std::vector<Tensor>(parts.size(), mine.view({-1})), parts, check)));
    return Or(Await(check));
  }

  // As many of every rank's part at a time as leave the shares of one's own in a piece.
  Status ReduceScatterSum(const Tensor& values, std::span<const size_t> counts, int contributors,
                          const Tensor& own, const WaitCheck& check) override {
    FT_CHECK(values.device() == device_ && own.device() == device_);
    const std::vector<Tensor> parts = PartsOf(values, counts);
    const Tensor own_N = own.view({-1});
    const auto most = std::max(static_cast<int64_t>(options_.piece_floats) / contributors, int64_t{1});
    const Tensor shares_N = torch::empty({contributors * std::min(most, own_N.numel())}, own.options());
    const auto longest = static_cast<int64_t>(*std::max_element(counts.begin(), counts.end()));
    for (int64_t begin = 0; begin < longest; begin += most) {
      const auto piece = [&](const Tensor& part_N) {
        const int64_t first = std::min(begin, part_N.numel());
        return part_N.narrow(0, first, std::min(most, part_N.numel() - first));
      };
      std::vector<Tensor> pieces;
      for (const Tensor& part_N : parts) pieces.push_back(piece(part_N));
      RETURN_IF_ERROR(Or(SumOwn(pieces, contributors, piece(own_N), shares_N, check)));
    }
    return Or(Await(check));
  }

 private:
  // After an error nothing of this communicator is waited for any more.
  Status Or(Status status) {
    if (!status.ok()) communicator_->Abort();
    return status;
  }

  void* Stream() const { return ops::KernelsFor(device_).current_stream(); }

  // All parts of one length: what is missing at the end is filled up in memory of this exchange.
  Status SumPiece(const Tensor& piece_N, const WaitCheck& check) {
    const int64_t part = (piece_N.numel() + size_ - 1) / size_;
    const bool whole = part * size_ == piece_N.numel();
    const Tensor padded = whole ? piece_N : torch::zeros({part * size_}, piece_N.options());
    if (!whole) padded.narrow(0, 0, piece_N.numel()).copy_(piece_N);
    const Tensor parts_RP = padded.view({size_, part});
    const Tensor mine_P = parts_RP[rank_];
    const Tensor shares_RP = torch::empty_like(parts_RP);
    RETURN_IF_ERROR(Exchange(parts_RP.unbind(), shares_RP.unbind(), check));
    ops::TreeAdd(shares_RP, mine_P);
    RETURN_IF_ERROR(GatherEqual(mine_P, padded, check));
    if (!whole) Tensor(piece_N).copy_(padded.narrow(0, 0, piece_N.numel()));
    return absl::OkStatus();
  }

  Status GatherEqual(const Tensor& mine, const Tensor& all, const WaitCheck& check) {
    return communicator_->Settle(
        nccl_.all_gather(Bytes(mine), Bytes(all), mine.nbytes(), communicator_->get(), Stream()), check);
  }

  // own_P = the sum of what the first `contributors` ranks have of it; parts[p] is what this rank has of rank p's. `shares_N` is room
  // for `contributors` times as many.
  Status SumOwn(const std::vector<Tensor>& parts, int contributors, const Tensor& own_P,
                const Tensor& shares_N, const WaitCheck& check) {
    const Tensor shares_CP =
        shares_N.narrow(0, 0, contributors * own_P.numel()).view({contributors, own_P.numel()});
    std::vector<Tensor> receives = shares_CP.unbind();
    receives.resize(static_cast<size_t>(size_));
    RETURN_IF_ERROR(
        Exchange(rank_ < contributors ? parts : std::vector<Tensor>(parts.size()), receives, check));
    if (own_P.numel() > 0) ops::TreeAdd(shares_CP, own_P);
    return absl::OkStatus();
  }

  // sends[p] goes to rank p, receives[p] comes from it. Where a tensor is undefined or has no elements nothing goes.
  Status Exchange(const std::vector<Tensor>& sends, const std::vector<Tensor>& receives,
                  const WaitCheck& check) {
    const auto own = static_cast<size_t>(rank_);
    if (sends[own].defined() && sends[own].data_ptr() != receives[own].data_ptr())
      Tensor(receives[own]).copy_(sends[own]);
    const auto goes = [&](const Tensor& tensor) { return tensor.defined() && tensor.numel() > 0; };
    int result = nccl_.group_start();
    for (int peer = 0; peer < size_; ++peer) {
      if (peer == rank_) continue;
      const Tensor& send = sends[static_cast<size_t>(peer)];
      const Tensor& receive = receives[static_cast<size_t>(peer)];
      if (goes(send))
        Note(result, nccl_.send(Bytes(send), send.nbytes(), peer, communicator_->get(), Stream()));
      if (goes(receive))
        Note(result, nccl_.receive(Bytes(receive), receive.nbytes(), peer, communicator_->get(), Stream()));
    }
    Note(result, nccl_.group_end());
    return communicator_->Settle(result, check);
  }

  // The first that was neither success nor under way stays.
  static void Note(int& result, int next) {
    if (result == cuda::kNcclSuccess || result == cuda::kNcclInProgress)
      result = next == cuda::kNcclSuccess ? result : next;
  }

  Status Await(const WaitCheck& check) {
    c10::Event done(device_.type());
    done.record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
    Clock::time_point next_check = Clock::now() + kCheckInterval;
    while (!done.query()) {
      if (Clock::now() >= next_check) {
        RETURN_IF_ERROR(check());
        RETURN_IF_ERROR(communicator_->CheckAsync());
        next_check = Clock::now() + kCheckInterval;
      }
      std::this_thread::sleep_for(kPollInterval);
    }
    return communicator_->CheckAsync();
  }

  const cuda::NcclApi& nccl_;
  const int rank_, size_;
  const at::Device device_;
  const NcclOptions options_;
  std::unique_ptr<Communicator> communicator_;
};

// How one rank fared, in a form that all can be told.
struct Outcome {
  std::array<char, 512> problem = {};  // Empty: well.
};

Outcome OutcomeOf(const Status& status) {
  Outcome outcome;
  const std::string text(Message(status));
  std::memcpy(outcome.problem.data(), text.data(), std::min(text.size(), outcome.problem.size() - 1));
  return outcome;
}

// OK when all ranks fared well; else the first problem, the same on all.
Status CheckOutcomes(Comm& meeting, const Status& own) {
  const Outcome mine = OutcomeOf(own);
  std::vector<Outcome> all(static_cast<size_t>(meeting.size()));
  RETURN_IF_ERROR(
      meeting.AllGather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all))));
  for (size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank].problem[0] == 0) continue;
    return absl::UnavailableError(
        StrCat("rank ", rank, " cannot join over nccl: ", all[rank].problem.data()));
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::unique_ptr<DeviceCollectives>> ConnectNccl(Comm& meeting, const cuda::NcclApi& nccl,
                                                         at::Device device, const NcclOptions& options) {
  cuda::NcclUniqueId id = {};
  Status made = absl::OkStatus();
  if (meeting.rank() == 0) {
    const int result = nccl.get_unique_id(&id);
    if (result != cuda::kNcclSuccess) made = Communicator(nccl, nullptr).StatusOf(result);
  }
  RETURN_IF_ERROR(CheckOutcomes(meeting, made));
  RETURN_IF_ERROR(meeting.Broadcast(0, std::as_writable_bytes(std::span(&id, 1))));
  auto collectives = std::make_unique<NcclCollectives>(nccl, meeting.rank(), meeting.size(), device, options);
  const Status agreed = CheckOutcomes(meeting, collectives->Connect(id));
  if (!agreed.ok()) collectives->Abort();
  RETURN_IF_ERROR(agreed);
  return collectives;
}

}  // namespace ft::comm
