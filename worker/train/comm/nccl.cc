#include "worker/train/comm/nccl.h"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/types.h>

#include <array>
#include <cstring>
#include <thread>

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
    RETURN_IF_ERROR(Exchange(parts_RP, shares_RP, check));
    ops::TreeAdd(shares_RP, mine_P);
    RETURN_IF_ERROR(communicator_->Settle(
        nccl_.all_gather(Bytes(mine_P), Bytes(padded), mine_P.nbytes(), communicator_->get(), Stream()),
        check));
    if (!whole) Tensor(piece_N).copy_(padded.narrow(0, 0, piece_N.numel()));
    return absl::OkStatus();
  }

  // shares[p] = what rank p has of this rank's part.
  Status Exchange(const Tensor& parts_RP, const Tensor& shares_RP, const WaitCheck& check) {
    shares_RP[rank_].copy_(parts_RP[rank_]);
    const size_t bytes = parts_RP[0].nbytes();
    int result = nccl_.group_start();
    for (int peer = 0; peer < size_; ++peer) {
      if (peer == rank_) continue;
      Note(result, nccl_.send(Bytes(parts_RP[peer]), bytes, peer, communicator_->get(), Stream()));
      Note(result, nccl_.receive(Bytes(shares_RP[peer]), bytes, peer, communicator_->get(), Stream()));
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
