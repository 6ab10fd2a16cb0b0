// ftctl drain, cordon and uncordon: take a node out of service and back.
#include <thread>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/session/interrupts.h"
#include "client/session/output.h"
#include "finetune/v1/nodes.grpc.pb.h"

namespace ft::client {
namespace {

constexpr std::chrono::milliseconds kLookAgain{500};

struct NodeOptions {
  std::string node;
  bool wait = false;
};

using NodeCall = grpc::Status (v1::NodeService::Stub::*)(grpc::ClientContext*, const v1::NodeRequest&,
                                                         v1::Node*);

StatusOr<v1::Node> Change(const NodeOptions& options, Session& session, NodeCall call) {
  v1::NodeRequest request;
  request.set_node_id(options.node);
  request.set_request_id(NewRequestId());
  return session.Call(call, request);
}

int Show(const Session& session, const v1::Node& node) {
  if (session.json()) {
    Print(ToJsonText(node));
  } else {
    PrintLine(session.Localized(Text::kStillRunning, node.node_id(), v1::NodeState_Name(node.state())));
  }
  return kExitOk;
}

// The node once nothing runs there. Ctrl-C stops waiting, not the drain.
StatusOr<v1::Node> AwaitEmpty(Session& session, v1::Node node) {
  const Interrupts interrupts;
  while (node.jobs_size() > 0) {
    if (interrupts.count() > 0) {
      return absl::FailedPreconditionError(
          session.Localized(Text::kStillDraining, node.node_id(), node.jobs_size()));
    }
    std::this_thread::sleep_for(kLookAgain);
    ASSIGN_OR_RETURN(const v1::ListNodesResponse nodes,
                     session.Call(&v1::NodeService::Stub::ListNodes, v1::ListNodesRequest()));
    const std::string id = node.node_id();
    node.clear_jobs();  // One that was forgotten meanwhile runs nothing.
    for (const v1::Node& other : nodes.nodes()) {
      if (other.node_id() == id) node = other;
    }
  }
  return node;
}

StatusOr<int> Drain(const NodeOptions& options, Session& session) {
  ASSIGN_OR_RETURN(v1::Node node, Change(options, session, &v1::NodeService::Stub::DrainNode));
  if (options.wait) {
    ASSIGN_OR_RETURN(node, AwaitEmpty(session, std::move(node)));
  }
  return Show(session, node);
}

StatusOr<int> Cordon(const NodeOptions& options, Session& session) {
  ASSIGN_OR_RETURN(const v1::Node node, Change(options, session, &v1::NodeService::Stub::CordonNode));
  return Show(session, node);
}

StatusOr<int> Uncordon(const NodeOptions& options, Session& session) {
  ASSIGN_OR_RETURN(const v1::Node node, Change(options, session, &v1::NodeService::Stub::UncordonNode));
  return Show(session, node);
}

CLI::App* Declare(CLI::App& root, Session& session, const char* name, const char* what,
                  StatusOr<int> (*run)(const NodeOptions&, Session&), std::shared_ptr<NodeOptions> options) {
  CLI::App* verb = root.add_subcommand(name, what)->group(kGroupMachine);
  verb->add_option("NODE", options->node, "As `ftctl nodes` names it")->required()->type_name("");
  SetAction(verb, std::move(options), session, run);
  return verb;
}

}  // namespace

void AddDrain(CLI::App& root, Session& session) {
  auto options = std::make_shared<NodeOptions>();
  CLI::App* verb =
      Declare(root, session, "drain", "Checkpoint what runs on a node and move it elsewhere", Drain, options);
  verb->add_flag("--wait", options->wait, "Until nothing runs there");
  verb->footer("The node takes nothing new until `ftctl uncordon`.");
  Declare(root, session, "cordon", "Start nothing new on a node", Cordon, std::make_shared<NodeOptions>());
  Declare(root, session, "uncordon", "Start jobs on a node again", Uncordon, std::make_shared<NodeOptions>());
}

}  // namespace ft::client
