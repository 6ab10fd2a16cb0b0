// LogService: what ranks printed, from the spool.
#pragma once

#include "finetune/v1/logs.grpc.pb.h"
#include "server/api/call.h"

namespace ft::api {

class LogService : public pb::LogService::CallbackService {
 public:
  explicit LogService(Backend& backend) : backend_(backend) {}
  grpc::ServerWriteReactor<pb::LogChunk>* StreamLogs(grpc::CallbackServerContext* context,
                                                     const pb::StreamLogsRequest* request) override;

 private:
  Backend& backend_;
};

}  // namespace ft::api
