// NodeService: the nodes and this server itself.
#pragma once

#include "finetune/v1/nodes.grpc.pb.h"
#include "server/api/call.h"

namespace ft::api {

class NodeService : public pb::NodeService::CallbackService {
 public:
  explicit NodeService(Backend& backend) : backend_(backend) {}
  grpc::ServerUnaryReactor* ListNodes(grpc::CallbackServerContext* context,
                                      const pb::ListNodesRequest* request,
                                      pb::ListNodesResponse* reply) override;
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const pb::GetServerInfoRequest* request,
                                          pb::ServerInfo* reply) override;

 private:
  Backend& backend_;
};

}  // namespace ft::api
