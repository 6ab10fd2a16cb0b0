// EventService: the audit log, paged or followed.
#pragma once

#include "finetune/v1/events.grpc.pb.h"
#include "server/api/call.h"

namespace ft::api {

class EventService : public pb::EventService::CallbackService {
 public:
  explicit EventService(Backend& backend) : backend_(backend) {}
  grpc::ServerUnaryReactor* ListEvents(grpc::CallbackServerContext* context,
                                       const pb::ListEventsRequest* request,
                                       pb::ListEventsResponse* reply) override;
  grpc::ServerWriteReactor<pb::WatchEventsResponse>* WatchEvents(
      grpc::CallbackServerContext* context, const pb::WatchEventsRequest* request) override;

 private:
  Backend& backend_;
};

}  // namespace ft::api
