// DataService: files of clients that the coordinator cannot see, kept by content, resumable, at most 1 GiB
// each.
#pragma once

#include "finetune/v1/data.grpc.pb.h"
#include "server/api/call.h"

namespace ft::api {

class DataService : public pb::DataService::CallbackService {
 public:
  explicit DataService(Backend& backend) : backend_(backend) {}
  grpc::ServerUnaryReactor* GetUpload(grpc::CallbackServerContext* context,
                                      const pb::GetUploadRequest* request, pb::UploadStatus* reply) override;
  grpc::ServerReadReactor<pb::UploadChunk>* Upload(grpc::CallbackServerContext* context,
                                                   pb::UploadStatus* reply) override;

 private:
  Backend& backend_;
};

}  // namespace ft::api
