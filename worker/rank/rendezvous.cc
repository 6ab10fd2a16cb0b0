#include "worker/rank/rendezvous.h"

#include "core/base/file.h"
#include "worker/train/comm/gloo.h"
#include "worker/train/comm/shm.h"

namespace ft::rank {
namespace {

// Ranks of one attempt start within seconds of each other; what takes longer is a node that never started its own.
constexpr auto kRendezvousTimeout = std::chrono::minutes(5);
// Between two exchanges lies at most an evaluation or the writing of a checkpoint on rank 0.
constexpr auto kExchangeTimeout = std::chrono::minutes(30);
constexpr const char* kLoopback = "127.0.0.1";

StatusOr<std::unique_ptr<comm::Comm>> RendezvousOnOneNode(const Attempt& attempt, int rank,
                                                          const comm::CommOptions& options) {
  const std::filesystem::path folder = attempt.dir / attempt.run.rendezvous->path;
  RETURN_IF_ERROR(MakeDirectories(folder));
  if (attempt.spec.parallel.transport == "gloo") {
    const comm::GlooRendezvousOptions rendezvous{
        .host = kLoopback, .rank = rank, .size = attempt.run.world_size, .timeout = kRendezvousTimeout};
    return comm::RendezvousOverFiles(folder.string(), rendezvous, options);
  }
  const comm::ShmRendezvousOptions rendezvous{
      .folder = folder, .rank = rank, .size = attempt.run.world_size, .timeout = kRendezvousTimeout};
  return comm::RendezvousShm(rendezvous, options);
}

StatusOr<std::unique_ptr<comm::Comm>> RendezvousOverNodes(const Attempt& attempt, int rank,
                                                          Reporter& reporter, Control& control,
                                                          const comm::CommOptions& options) {
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
    return comm::ConnectTcp(address, group, options);
  }
  group.host = attempt.run.rendezvous->host;
  ASSIGN_OR_RETURN(comm::TcpRendezvous rendezvous, comm::TcpRendezvous::Listen(group.host));
  RETURN_IF_ERROR(reporter.Write(records::Rendezvous{rendezvous.address()}));
  return rendezvous.Connect(group, options);
}

}  // namespace

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
  const comm::CommOptions options{.timeout = kExchangeTimeout,
                                  .waiting = [&reporter](const comm::Wait& wait) {
                                    reporter.Wait({std::string(wait.operation), wait.sequence, wait.missing});
                                  }};
  reporter.Wait({.operation = "meeting"});
  if (attempt.run.rendezvous->store == "file") return RendezvousOnOneNode(attempt, rank, options);
  return RendezvousOverNodes(attempt, rank, reporter, control, options);
}

}  // namespace ft::rank
