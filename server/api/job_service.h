// JobService: submit, look at and steer jobs. Handlers run on gRPC's threads.
#pragma once

#include "finetune/v1/jobs.grpc.pb.h"
#include "server/api/call.h"

namespace ft::api {

class JobService : public pb::JobService::CallbackService {
 public:
  explicit JobService(Backend& backend) : backend_(backend) {}
  grpc::ServerUnaryReactor* CreateJob(grpc::CallbackServerContext* context,
                                      const pb::CreateJobRequest* request, pb::Job* reply) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context, const pb::GetJobRequest* request,
                                   pb::Job* reply) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context, const pb::ListJobsRequest* request,
                                     pb::ListJobsResponse* reply) override;
  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* context,
                                      const pb::CancelJobRequest* request, pb::Job* reply) override;
  grpc::ServerUnaryReactor* DeleteJob(grpc::CallbackServerContext* context,
                                      const pb::DeleteJobRequest* request,
                                      pb::DeleteJobResponse* reply) override;
  grpc::ServerUnaryReactor* PauseJob(grpc::CallbackServerContext* context, const pb::PauseJobRequest* request,
                                     pb::Job* reply) override;
  grpc::ServerUnaryReactor* ResumeJob(grpc::CallbackServerContext* context,
                                      const pb::ResumeJobRequest* request, pb::Job* reply) override;
  grpc::ServerWriteReactor<pb::WatchJobsResponse>* WatchJobs(grpc::CallbackServerContext* context,
                                                             const pb::WatchJobsRequest* request) override;
  grpc::ServerUnaryReactor* ExplainJob(grpc::CallbackServerContext* context,
                                       const pb::ExplainJobRequest* request,
                                       pb::JobExplanation* reply) override;

 private:
  grpc::ServerUnaryReactor* Mutate(const UnaryCall& call, state::Event event, pb::Job* reply);
  Backend& backend_;
};

}  // namespace ft::api
