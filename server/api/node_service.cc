#include "server/api/node_service.h"

#include <algorithm>

namespace ft::api {

grpc::ServerUnaryReactor* NodeService::ListNodes(grpc::CallbackServerContext* context,
                                                 const pb::ListNodesRequest*, pb::ListNodesResponse* reply) {
  const UnaryCall call(context, "NodeService/ListNodes");
  const state::Snapshot state = backend_.loop.published();
  std::vector<state::NodePtr> nodes;
  state->nodes.ForEach([&](const state::NodePtr& node) { nodes.push_back(node); });
  std::sort(nodes.begin(), nodes.end(),
            [](const auto& a, const auto& b) { return a->node_id() < b->node_id(); });
  for (const state::NodePtr& row : nodes) {
    pb::Node& node = *reply->add_nodes();
    node.set_node_id(row->node_id());
    node.set_state(row->state());
    node.set_version(row->version());
    node.set_address(row->address());
    *node.mutable_last_contact_time() = row->last_contact_time();
    const std::vector<pb::Device> fresh = backend_.fleet.DevicesOf(row->node_id());
    if (fresh.empty()) {
      *node.mutable_devices() = row->devices();
    } else {
      for (const pb::Device& device : fresh) *node.add_devices() = device;
    }
    node.set_cores_allocated(state::CoresAllocated(*state, row->node_id()));
    state->active.ForEach([&](const state::AttemptPtr& attempt) {
      const bool here = std::any_of(attempt->ranks().begin(), attempt->ranks().end(),
                                    [&](const auto& rank) { return rank.node_id() == row->node_id(); });
      const state::JobPtr job = here ? state->jobs.Find(attempt->job_id()) : nullptr;
      if (job != nullptr) node.add_jobs(job->job().name());
    });
  }
  call.Finish(absl::OkStatus());
  return call.reactor();
}

grpc::ServerUnaryReactor* NodeService::GetServerInfo(grpc::CallbackServerContext* context,
                                                     const pb::GetServerInfoRequest*, pb::ServerInfo* reply) {
  const UnaryCall call(context, "NodeService/GetServerInfo");
  const state::Snapshot state = backend_.loop.published();
  reply->set_version(FT_VERSION);
  reply->set_store_id(state->store_id);
  reply->set_term(state->term);
  reply->set_revision(state->revision);
  reply->set_data_dir(backend_.data_dir.string());
  call.Finish(absl::OkStatus());
  return call.reactor();
}

}  // namespace ft::api
