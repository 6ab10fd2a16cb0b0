// MetricService: a job's series, from the spool.
#pragma once

#include "finetune/v1/metrics.grpc.pb.h"
#include "server/api/call.h"

namespace ft::api {

class MetricService : public pb::MetricService::CallbackService {
 public:
  explicit MetricService(Backend& backend) : backend_(backend) {}
  grpc::ServerUnaryReactor* QueryMetrics(grpc::CallbackServerContext* context,
                                         const pb::QueryMetricsRequest* request,
                                         pb::QueryMetricsResponse* reply) override;
  grpc::ServerWriteReactor<pb::MetricPoint>* StreamMetrics(grpc::CallbackServerContext* context,
                                                           const pb::StreamMetricsRequest* request) override;

 private:
  Backend& backend_;
};

}  // namespace ft::api
