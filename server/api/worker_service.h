// WorkerService: what agents call. On a listener of its own; every write is checked against the job's newest
// epoch.
#pragma once

#include "finetune/worker/v1/worker.grpc.pb.h"
#include "server/api/call.h"

namespace ft::api {

class WorkerService : public wpb::WorkerService::CallbackService {
 public:
  explicit WorkerService(Backend& backend) : backend_(backend) {}
  grpc::ServerUnaryReactor* RegisterWorker(grpc::CallbackServerContext* context,
                                           const wpb::RegisterWorkerRequest* request,
                                           wpb::RegisterWorkerResponse* reply) override;
  grpc::ServerUnaryReactor* RenewLease(grpc::CallbackServerContext* context,
                                       const wpb::RenewLeaseRequest* request,
                                       wpb::RenewLeaseResponse* reply) override;
  grpc::ServerBidiReactor<wpb::CommandAck, wpb::Command>* CommandStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* ReportRank(grpc::CallbackServerContext* context,
                                       const wpb::ReportRankRequest* request,
                                       wpb::ReportRankResponse* reply) override;
  grpc::ServerUnaryReactor* PushRecords(grpc::CallbackServerContext* context,
                                        const wpb::PushRecordsRequest* request,
                                        wpb::PushRecordsResponse* reply) override;
  grpc::ServerUnaryReactor* PushLogs(grpc::CallbackServerContext* context,
                                     const wpb::PushLogsRequest* request,
                                     wpb::PushLogsResponse* reply) override;
  grpc::ServerUnaryReactor* CommitCheckpoint(grpc::CallbackServerContext* context,
                                             const wpb::CommitCheckpointRequest* request,
                                             wpb::CommitCheckpointResponse* reply) override;
  grpc::ServerReadReactor<wpb::ArtifactChunk>* PushArtifact(grpc::CallbackServerContext* context,
                                                            wpb::PushArtifactResponse* reply) override;

 private:
  // The session's node when the write is of the current epoch.
  StatusOr<std::string> Fenced(const std::string& session_id, const wpb::RankRef& ref, const char* method);
  void Count(const Status& status, const char* method);
  Backend& backend_;
};

}  // namespace ft::api
