#include "server/api/node_service.h"

#include <algorithm>

#include "server/api/bounds.h"
#include "server/state/device_faults.h"

namespace ft::api {
namespace {

Status CheckRequest(const state::ChangeNode& change) {
  RETURN_IF_ERROR(CheckText("node_id", change.node_id, kMaxNameBytes));
  return CheckText("request_id", change.caller.request_id, kMaxNameBytes);
}

}  // namespace

grpc::ServerUnaryReactor* NodeService::ListNodes(grpc::CallbackServerContext* context,
                                                 const pb::ListNodesRequest*, pb::ListNodesResponse* reply) {
  const UnaryCall call(context, "NodeService/ListNodes");
  const state::Snapshot state = backend_.loop.published();
  std::vector<state::NodePtr> nodes;
  state->nodes.ForEach([&](const state::NodePtr& node) { nodes.push_back(node); });
  std::sort(nodes.begin(), nodes.end(),
            [](const auto& a, const auto& b) { return a->node_id() < b->node_id(); });
  for (const state::NodePtr& row : nodes) *reply->add_nodes() = ViewOf(*state, *row);
  call.Finish(absl::OkStatus());
  return call.reactor();
}

pb::Node NodeService::ViewOf(const state::ClusterState& state, const state::spb::StoredNode& row) const {
  pb::Node node;
  node.set_node_id(row.node_id());
  node.set_state(row.state());
  node.set_version(row.version());
  node.set_address(row.address());
  node.set_needs_uncordon(row.availability() != state::spb::StoredNode::AVAILABLE && !row.draining() &&
                          backend_.fleet.IsInContact(row.node_id()));
  const std::optional<absl::Time> contact = backend_.fleet.LastContact(row.node_id());
  *node.mutable_last_contact_time() = contact ? state::ToProto(*contact) : row.last_contact_time();
  const std::vector<pb::Device> fresh = backend_.fleet.DevicesOf(row.node_id());
  if (fresh.empty()) {
    *node.mutable_devices() = row.devices();
  } else {
    for (const pb::Device& device : fresh) *node.add_devices() = device;
  }
  for (pb::Device& device : *node.mutable_devices())
    device.set_problem(state::ProblemOf(row, device, absl::Now()));
  node.set_cores_allocated(state::CoresAllocated(state, row.node_id()));
  state.active.ForEach([&](const state::AttemptPtr& attempt) {
    const bool here = std::any_of(attempt->ranks().begin(), attempt->ranks().end(),
                                  [&](const auto& rank) { return rank.node_id() == row.node_id(); });
    const state::JobPtr job = here ? state.jobs.Find(attempt->job_id()) : nullptr;
    if (job != nullptr) node.add_jobs(job->job().name());
  });
  return node;
}

grpc::ServerUnaryReactor* NodeService::Change(const UnaryCall& call, state::ChangeNode change,
                                              pb::Node* reply) {
  const std::string node_id = change.node_id;
  if (const Status checked = CheckRequest(change); !checked.ok()) return call.Refuse(checked);
  const Status posted = backend_.loop.Post(
      std::move(change),
      [this, call, reply, node_id](const state::Reply& result, const state::Snapshot& state) {
        const state::NodePtr row = state->nodes.Find(node_id);
        if (result.status.ok() && row != nullptr) *reply = ViewOf(*state, *row);
        call.Finish(result.status);
      });
  if (!posted.ok()) call.Finish(posted);
  return call.reactor();
}

grpc::ServerUnaryReactor* NodeService::CordonNode(grpc::CallbackServerContext* context,
                                                  const pb::NodeRequest* request, pb::Node* reply) {
  return Change(
      UnaryCall(context, "NodeService/CordonNode"),
      {CallerOf(*context, "CordonNode", *request), request->node_id(), state::ChangeNode::What::kCordon},
      reply);
}

grpc::ServerUnaryReactor* NodeService::DrainNode(grpc::CallbackServerContext* context,
                                                 const pb::NodeRequest* request, pb::Node* reply) {
  return Change(
      UnaryCall(context, "NodeService/DrainNode"),
      {CallerOf(*context, "DrainNode", *request), request->node_id(), state::ChangeNode::What::kDrain},
      reply);
}

grpc::ServerUnaryReactor* NodeService::UncordonNode(grpc::CallbackServerContext* context,
                                                    const pb::NodeRequest* request, pb::Node* reply) {
  return Change(
      UnaryCall(context, "NodeService/UncordonNode"),
      {CallerOf(*context, "UncordonNode", *request), request->node_id(), state::ChangeNode::What::kUncordon},
      reply);
}

grpc::ServerUnaryReactor* NodeService::RemoveNode(grpc::CallbackServerContext* context,
                                                  const pb::NodeRequest* request, pb::RemoveNodeResponse*) {
  const UnaryCall call(context, "NodeService/RemoveNode");
  const std::string node_id = request->node_id();
  state::ChangeNode change{CallerOf(*context, "RemoveNode", *request), node_id,
                           state::ChangeNode::What::kRemove, backend_.fleet.IsInContact(node_id)};
  if (const Status checked = CheckRequest(change); !checked.ok()) return call.Refuse(checked);
  const Status posted = backend_.loop.Post(
      std::move(change), [this, call, node_id](const state::Reply& result, const state::Snapshot&) {
        if (result.status.ok()) backend_.fleet.Forget(node_id);
        call.Finish(result.status);
      });
  if (!posted.ok()) call.Finish(posted);
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
