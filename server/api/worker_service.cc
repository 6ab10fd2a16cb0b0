#include "server/api/worker_service.h"

#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>
#include <mutex>
#include <optional>

#include "absl/time/clock.h"
#include "core/rpc/authorize.h"
#include "server/api/bounds.h"
#include "server/api/command_queue.h"
#include "server/api/metrics.h"
#include "server/api/receive_stream.h"

namespace ft::api {
namespace {

constexpr int64_t kMaxArtifact = int64_t{64} << 30;

// The coordinator's end of a command stream. Sends are posted to the loop's thread, because the fleet calls
// Send with its lock held.
class CommandStreamReactor : public grpc::ServerBidiReactor<wpb::CommandAck, wpb::Command>,
                             public fleet::CommandSink,
                             public std::enable_shared_from_this<CommandStreamReactor> {
 public:
  explicit CommandStreamReactor(Backend& backend) : backend_(backend) {}
  void Begin() {
    self_ = shared_from_this();
    StartRead(&ack_);
  }

  void Send(const wpb::Command& command) override {
    {
      std::lock_guard lock(mutex_);
      queue_.Push(command);
    }
    boost::asio::post(backend_.loop.context(), [self = shared_from_this()] { self->WriteNext(); });
  }

  void Close() override {
    End(absl::UnavailableError("the session was replaced or the coordinator is stopping"));
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      End(absl::OkStatus());
      return;
    }
    if (session_id_.empty()) {
      session_id_ = ack_.session_id();
      const Status opened = backend_.fleet.OpenStream(session_id_, shared_from_this());
      if (!opened.ok()) {
        End(opened);
        return;
      }
    } else {
      ack_.set_session_id(session_id_);
      backend_.fleet.OnAck(ack_);
    }
    StartRead(&ack_);
  }

  void OnWriteDone(bool ok) override {
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
    }
    if (ok) WriteNext();
  }
  void OnCancel() override { End(absl::CancelledError("cancelled")); }
  void OnDone() override {
    if (!session_id_.empty()) backend_.fleet.CloseStream(session_id_, this);
    self_.reset();
  }

 private:
  void WriteNext() {
    std::lock_guard lock(mutex_);
    if (writing_ || finished_) return;
    if (std::optional<wpb::Command> next = queue_.Pop()) {
      writing_ = true;
      current_ = *std::move(next);
      StartWrite(&current_);
    } else if (queue_.MustEnd()) {
      End(absl::UnavailableError("more commands wait than a stream holds: open it again"));
    }
  }

  void End(const Status& status) {
    std::lock_guard lock(mutex_);
    if (finished_) return;
    finished_ = true;
    Finish(rpc::ToGrpc(status));
  }

  Backend& backend_;
  wpb::CommandAck ack_;
  std::string session_id_;
  std::recursive_mutex mutex_;  // Guards all below, as PushStream's.
  CommandQueue queue_;
  wpb::Command current_;
  bool writing_ = false;
  bool finished_ = false;
  std::shared_ptr<CommandStreamReactor> self_;
};

void NoteDisk(Backend& backend, const std::string& job_id, const Status& status) {
  if (backend.disk.Note(job_id, status, absl::Now())) {
    spdlog::warn("job {}: {}; its worker tries again", job_id, std::string(Message(status)));
  }
}

class ArtifactStream : public ReceiveStream<wpb::ArtifactChunk> {
 public:
  ArtifactStream(Backend& backend, wpb::PushArtifactResponse* reply)
      : ReceiveStream(backend.spool), backend_(backend), reply_(reply) {}

 protected:
  StatusOr<spool::ExpectedFile> Expect(const wpb::ArtifactChunk& first) override {
    ASSIGN_OR_RETURN(const std::string node_id, backend_.fleet.NodeOf(first.session_id()));
    job_id_ = first.ref().job_id();
    RETURN_IF_ERROR(state::CheckFence(*backend_.loop.published(), node_id, first.ref()));
    const std::filesystem::path relative = std::filesystem::path(first.path()).lexically_normal();
    if (relative.empty() || relative.is_absolute() || *relative.begin() == ".." ||
        first.path().ends_with(".part") || first.path().ends_with(".part.state")) {
      return absl::InvalidArgumentError(
          StrCat("artifact path '", first.path(), "' is not inside the adapter's folder"));
    }
    const auto path = backend_.spool.AdapterDir(first.ref().job_id(), first.ref().epoch()) / relative;
    return spool::ExpectedFile{path, first.sha256(), first.size(), kMaxArtifact};
  }
  void Answer(const spool::FileReceiver& receiver) override {
    reply_->set_complete(receiver.complete());
    reply_->set_received(receiver.received());
  }
  void Failed(const Status& status) override { NoteDisk(backend_, job_id_, status); }

 private:
  Backend& backend_;
  std::string job_id_;
  wpb::PushArtifactResponse* reply_;
};

}  // namespace

void WorkerService::Count(const Status& status, const char* method) {
  if (rpc::ReasonOf(status) == pb::STALE_EPOCH) backend_.metrics.OnStaleEpoch(method);
}

StatusOr<std::string> WorkerService::Fenced(const std::string& session_id, const wpb::RankRef& ref,
                                            const char* method) {
  ASSIGN_OR_RETURN(std::string node_id, backend_.fleet.NodeOf(session_id));
  const Status fence = state::CheckFence(*backend_.loop.published(), node_id, ref);
  Count(fence, method);
  RETURN_IF_ERROR(fence);
  return node_id;
}

grpc::ServerUnaryReactor* WorkerService::RegisterWorker(grpc::CallbackServerContext* context,
                                                        const wpb::RegisterWorkerRequest* request,
                                                        wpb::RegisterWorkerResponse* reply) {
  const UnaryCall call(context, "WorkerService/RegisterWorker");
  const state::Snapshot state = backend_.loop.published();
  // Nodes that are known already keep the names that earlier versions took.
  if (state->nodes.Find(request->node_id()) == nullptr) {
    if (const Status named = CheckNodeId(request->node_id()); !named.ok()) return call.Refuse(named);
  }
  const auto auth = context->auth_context();
  if (auth != nullptr && !rpc::MayBeNode(*auth, request->node_id())) {
    backend_.metrics.OnRefused("workers", "other_node");
    return call.Refuse(rpc::WithReason(
        absl::PermissionDeniedError(StrCat("this worker's certificate does not let it be node ",
                                           request->node_id(), ": it would name the URI ", rpc::kNodePrefix,
                                           request->node_id())),
        pb::PERMISSION));
  }
  const int64_t term = state->term;
  if (request->highest_term_seen() > term) {
    call.Finish(rpc::WithReason(
        absl::FailedPreconditionError(StrCat(
            "the worker has seen term ", request->highest_term_seen(), ", this coordinator has term ", term,
            ": it is not the newest one; if its data folder was made anew, delete the file term in "
            "the worker's data folder")),
        pb::STALE_TERM));
    return call.reactor();
  }
  backend_.fleet.Register(*request,
                          [call, reply](const Status& status, const wpb::RegisterWorkerResponse& response) {
                            *reply = response;
                            call.Finish(status);
                          });
  return call.reactor();
}

grpc::ServerUnaryReactor* WorkerService::RenewLease(grpc::CallbackServerContext* context,
                                                    const wpb::RenewLeaseRequest* request,
                                                    wpb::RenewLeaseResponse* reply) {
  const UnaryCall call(context, "WorkerService/RenewLease");
  auto response = backend_.fleet.Renew(*request);
  if (response.ok()) *reply = *response;
  call.Finish(response.status());
  return call.reactor();
}

grpc::ServerBidiReactor<wpb::CommandAck, wpb::Command>* WorkerService::CommandStream(
    grpc::CallbackServerContext*) {
  auto reactor = std::make_shared<CommandStreamReactor>(backend_);
  reactor->Begin();
  return reactor.get();
}

grpc::ServerUnaryReactor* WorkerService::ReportRank(grpc::CallbackServerContext* context,
                                                    const wpb::ReportRankRequest* request,
                                                    wpb::ReportRankResponse*) {
  const UnaryCall call(context, "WorkerService/ReportRank");
  auto node = Fenced(request->session_id(), request->ref(), "ReportRank");
  if (!node.ok()) {
    call.Finish(node.status());
    return call.reactor();
  }
  const Status posted = backend_.loop.Post(state::RankReport{*node, *request},
                                           [this, call](const state::Reply& reply, const state::Snapshot&) {
                                             Count(reply.status, "ReportRank");
                                             call.Finish(reply.status);
                                           });
  if (!posted.ok()) call.Finish(posted);
  return call.reactor();
}

grpc::ServerUnaryReactor* WorkerService::PushRecords(grpc::CallbackServerContext* context,
                                                     const wpb::PushRecordsRequest* request,
                                                     wpb::PushRecordsResponse* reply) {
  const UnaryCall call(context, "WorkerService/PushRecords");
  auto node = Fenced(request->session_id(), request->ref(), "PushRecords");
  if (!node.ok()) {
    call.Finish(node.status());
    return call.reactor();
  }
  auto event = std::make_shared<state::RecordsArrived>(
      state::RecordsArrived{*node, request->ref(), {request->records().begin(), request->records().end()}});
  const auto tell = [this, call, reply, job_id = request->ref().job_id()](const state::Reply& result,
                                                                          const state::Snapshot&) {
    Count(result.status, "PushRecords");
    NoteDisk(backend_, job_id, result.status);
    reply->set_acked_sequence(static_cast<int64_t>(result.acked_sequence));
    call.Finish(result.status);
  };
  // In the closure, so that it lives as long.
  const Status posted =
      backend_.spool.AppendRecords(event->ref, event->records, [this, call, tell, event](Status status) {
        NoteDisk(backend_, event->ref.job_id(), status);
        if (status.ok()) status = backend_.loop.Post(std::move(*event), tell);
        if (!status.ok()) call.Finish(status);
      });
  if (!posted.ok()) call.Finish(posted);
  return call.reactor();
}

grpc::ServerUnaryReactor* WorkerService::PushLogs(grpc::CallbackServerContext* context,
                                                  const wpb::PushLogsRequest* request,
                                                  wpb::PushLogsResponse* reply) {
  const UnaryCall call(context, "WorkerService/PushLogs");
  Status status = Fenced(request->session_id(), request->ref(), "PushLogs").status();
  if (status.ok() && request->stream() != "stdout" && request->stream() != "stderr") {
    status = absl::InvalidArgumentError("stream must be stdout or stderr");
  }
  if (status.ok() && (request->offset() < 0 || request->oldest() < 0)) {
    status = absl::InvalidArgumentError("offset and oldest must not be negative");
  }
  if (!status.ok()) {
    call.Finish(status);
    return call.reactor();
  }
  // The request lives until the call is finished.
  const Status posted = backend_.spool.Run([this, call, request, reply] {
    const auto acked = backend_.spool.AppendLog(
        request->ref(), {request->stream(), request->offset(), request->oldest(), request->data()});
    if (acked.ok()) reply->set_acked_offset(*acked);
    NoteDisk(backend_, request->ref().job_id(), acked.status());
    call.Finish(acked.status());
  });
  if (!posted.ok()) call.Finish(posted);
  return call.reactor();
}

grpc::ServerUnaryReactor* WorkerService::CommitCheckpoint(grpc::CallbackServerContext* context,
                                                          const wpb::CommitCheckpointRequest* request,
                                                          wpb::CommitCheckpointResponse*) {
  const UnaryCall call(context, "WorkerService/CommitCheckpoint");
  auto node = Fenced(request->session_id(), request->ref(), "CommitCheckpoint");
  if (!node.ok()) {
    if (rpc::ReasonOf(node.status()) == pb::STALE_EPOCH) backend_.metrics.OnCheckpointRejected("stale_epoch");
    call.Finish(node.status());
    return call.reactor();
  }
  const Status posted =
      backend_.loop.Post(state::CheckpointWritten{*node, request->ref(), request->checkpoint()},
                         [this, call](const state::Reply& reply, const state::Snapshot&) {
                           Count(reply.status, "CommitCheckpoint");
                           call.Finish(reply.status);
                         });
  if (!posted.ok()) call.Finish(posted);
  return call.reactor();
}

grpc::ServerReadReactor<wpb::ArtifactChunk>* WorkerService::PushArtifact(grpc::CallbackServerContext*,
                                                                         wpb::PushArtifactResponse* reply) {
  auto stream = std::make_shared<ArtifactStream>(backend_, reply);
  stream->Begin();
  return stream.get();
}

}  // namespace ft::api
