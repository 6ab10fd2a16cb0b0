#include "worker/rank/rendezvous.h"

#include <array>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "core/base/file.h"
#include "worker/train/comm/gloo.h"
#include "worker/train/comm/nccl.h"
#include "worker/train/comm/shm.h"
#include "worker/train/cuda/cuda_library.h"

namespace ft::rank {
namespace {

// Ranks of one attempt start within seconds of each other; what takes longer is a node that never started its own.
constexpr auto kRendezvousTimeout = std::chrono::minutes(5);
// Between two exchanges lies at most an evaluation or the writing of a checkpoint on rank 0.
constexpr auto kExchangeTimeout = std::chrono::minutes(30);
constexpr const char* kLoopback = "127.0.0.1";
constexpr auto kLook = std::chrono::milliseconds(50);  // For a stop.

using CommOr = StatusOr<std::unique_ptr<comm::Comm>>;

// Ranks meet on a thread of its own: Gloo waits for peers and cannot be told to give up, and a stop must not wait for a peer that does not
// come. A rank that leaves leaves the thread behind, for the end of the process (Run).
class Meeting : public std::enable_shared_from_this<Meeting> {
 public:
  // Passed on to the rank's own reporter until the rank has left.
  comm::WaitFunction Waiting(Reporter& reporter) {
    return [self = shared_from_this(), &reporter](const comm::Wait& wait) {
      const std::lock_guard lock(self->mutex_);
      if (!self->left_) reporter.Wait({std::string(wait.operation), wait.sequence, wait.missing});
    };
  }

  // CANCELLED where a stop comes before all have. `meet` must hold what it uses.
  CommOr Await(std::function<CommOr()> meet, Control& control) {
    std::thread([self = shared_from_this(), meet = std::move(meet)] { self->End(meet()); }).detach();
    std::unique_lock lock(mutex_);
    while (!ended_.wait_for(lock, kLook, [this] { return outcome_.has_value(); })) {
      if (!control.IsAskedToStop()) continue;
      left_ = true;
      return absl::CancelledError("asked to stop before the ranks have met");
    }
    return *std::move(outcome_);
  }

 private:
  void End(CommOr outcome) {
    const std::lock_guard lock(mutex_);
    outcome_ = std::move(outcome);
    ended_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable ended_;
  bool left_ = false;
  std::optional<CommOr> outcome_;
};

StatusOr<std::function<CommOr()>> OnOneNode(const Attempt& attempt, int rank,
                                            const comm::CommOptions& options) {
  const std::filesystem::path folder = attempt.dir / attempt.run.rendezvous->path;
  RETURN_IF_ERROR(MakeDirectories(folder));
  if (attempt.spec.parallel.transport == "gloo") {
    const comm::GlooRendezvousOptions rendezvous{
        .host = kLoopback, .rank = rank, .size = attempt.run.world_size, .timeout = kRendezvousTimeout};
    return [=] { return comm::RendezvousOverFiles(folder.string(), rendezvous, options); };
  }
  const comm::ShmRendezvousOptions rendezvous{
      .folder = folder, .rank = rank, .size = attempt.run.world_size, .timeout = kRendezvousTimeout};
  return [=] { return comm::RendezvousShm(rendezvous, options); };
}

StatusOr<std::function<CommOr()>> OverNodes(const Attempt& attempt, int rank, Reporter& reporter,
                                            Control& control, const comm::CommOptions& options) {
  if (attempt.spec.parallel.transport == "shm") {
    return absl::InvalidArgumentError(
        "parallel.transport: shm joins ranks of one node, this job has several: use auto");
  }
  comm::GlooRendezvousOptions group{
      .rank = rank, .size = attempt.run.world_size, .timeout = kRendezvousTimeout};
  if (rank != 0) {
    ASSIGN_OR_RETURN(const std::string address, control.AwaitRendezvous(kRendezvousTimeout, [&] {
      options.waiting({.operation = "meeting", .missing = 0});
    }));
    return [=] { return comm::ConnectTcp(address, group, options); };
  }
  group.host = attempt.run.rendezvous->host;
  ASSIGN_OR_RETURN(comm::TcpRendezvous listening, comm::TcpRendezvous::Listen(group.host));
  RETURN_IF_ERROR(reporter.Write(records::Rendezvous{listening.address()}));
  const auto rendezvous = std::make_shared<comm::TcpRendezvous>(std::move(listening));
  return [=] { return rendezvous->Connect(group, options); };
}

// Which card of which machine a rank computes on, in a form that all can be told; empty for a CPU.
using Card = std::array<char, 256>;

StatusOr<Card> CardOf(at::Device device) {
  Card card = {};
  if (device.is_cpu()) return card;
  ASSIGN_OR_RETURN(const std::string machine, ReadFile("/proc/sys/kernel/random/boot_id"));
  const std::string name = StrCat(machine, cuda::CudaTable().describe(device.index()).bus);
  std::memcpy(card.data(), name.data(), std::min(name.size(), card.size() - 1));
  return card;
}

// Why tensors go through host memory; empty where each rank has a card of its own.
std::string WhyThroughHost(const std::vector<Card>& cards) {
  std::map<Card, size_t> ranks;
  for (size_t rank = 0; rank < cards.size(); ++rank) {
    if (cards[rank][0] == 0) return StrCat("rank ", rank, " has no GPU");
    const auto [other, is_new] = ranks.emplace(cards[rank], rank);
    if (!is_new) return StrCat("ranks ", other->second, " and ", rank, " share a card");
  }
  return "";
}

}  // namespace

Status ConnectDevices(const Attempt& attempt, at::Device device, Reporter& reporter, comm::Comm& comm) {
  if (comm.size() == 1 || attempt.spec.parallel.transport != "auto") return absl::OkStatus();
  ASSIGN_OR_RETURN(const Card own, CardOf(device));
  std::vector<Card> cards(static_cast<size_t>(comm.size()));
  RETURN_IF_ERROR(comm.AllGather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(cards))));
  const std::string why = WhyThroughHost(cards);
  if (!why.empty()) {
    if (comm.rank() == 0 && !device.is_cpu()) {
      reporter.Note("INFO", "EXCHANGE",
                    StrCat("GPUs exchange through host memory over ", comm.transport(), ": ", why));
    }
    return absl::OkStatus();
  }
  const cuda::NcclApi& nccl = *cuda::CudaTable().nccl;
  ASSIGN_OR_RETURN(auto collectives, comm::ConnectNccl(comm, nccl, device, {.timeout = kRendezvousTimeout}));
  if (comm.rank() == 0) reporter.Note("INFO", "EXCHANGE", StrCat("GPUs exchange over NCCL ", nccl.version()));
  comm.ExchangeOnDevices(std::move(collectives));
  return absl::OkStatus();
}

StatusOr<std::unique_ptr<comm::Comm>> ConnectRanks(const Attempt& attempt, int rank, Reporter& reporter,
                                                   Control& control) {
  if (rank < 0 || rank >= attempt.run.world_size) {
    return absl::InvalidArgumentError(StrCat("rank ", rank, " of an attempt of ", attempt.run.world_size));
  }
  if (attempt.run.world_size == 1) return comm::SingleRankComm();
  const int most = recipe::MaxRanks(attempt.spec.parallel);
  if (most % attempt.run.world_size != 0) {
    return absl::InvalidArgumentError(StrCat("a job of max_ranks(", most, ") cannot run on ",
                                             attempt.run.world_size,
                                             " ranks: a power of two up to max_ranks is needed"));
  }
  const auto meeting = std::make_shared<Meeting>();
  const comm::CommOptions options{.timeout = kExchangeTimeout, .waiting = meeting->Waiting(reporter)};
  reporter.Wait({.operation = "meeting"});
  const bool on_one_node = attempt.run.rendezvous->store == "file";
  ASSIGN_OR_RETURN(std::function<CommOr()> meet, on_one_node
                                                     ? OnOneNode(attempt, rank, options)
                                                     : OverNodes(attempt, rank, reporter, control, options));
  return meeting->Await(std::move(meet), control);
}

}  // namespace ft::rank
