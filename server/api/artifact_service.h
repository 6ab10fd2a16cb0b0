// ArtifactService: committed checkpoints, and the final adapter's files.
#pragma once

#include "finetune/v1/artifacts.grpc.pb.h"
#include "server/api/call.h"

namespace ft::api {

class ArtifactService : public pb::ArtifactService::CallbackService {
 public:
  explicit ArtifactService(Backend& backend) : backend_(backend) {}
  grpc::ServerUnaryReactor* ListCheckpoints(grpc::CallbackServerContext* context,
                                            const pb::ListCheckpointsRequest* request,
                                            pb::ListCheckpointsResponse* reply) override;
  grpc::ServerWriteReactor<pb::FileChunk>* DownloadAdapter(
      grpc::CallbackServerContext* context, const pb::DownloadAdapterRequest* request) override;

 private:
  Backend& backend_;
};

}  // namespace ft::api
