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
  grpc::ServerUnaryReactor* CordonNode(grpc::CallbackServerContext* context, const pb::NodeRequest* request,
                                       pb::Node* reply) override;
  grpc::ServerUnaryReactor* DrainNode(grpc::CallbackServerContext* context, const pb::NodeRequest* request,
                                      pb::Node* reply) override;
  grpc::ServerUnaryReactor* UncordonNode(grpc::CallbackServerContext* context, const pb::NodeRequest* request,
                                         pb::Node* reply) override;
  grpc::ServerUnaryReactor* RemoveNode(grpc::CallbackServerContext* context, const pb::NodeRequest* request,
                                       pb::RemoveNodeResponse* reply) override;

 private:
  // Posts the change and answers with the node as it is afterwards.
  grpc::ServerUnaryReactor* Change(const UnaryCall& call, state::ChangeNode change, pb::Node* reply);
  pb::Node ViewOf(const state::ClusterState& state, const state::spb::StoredNode& row) const;

  Backend& backend_;
};

}  // namespace ft::api
