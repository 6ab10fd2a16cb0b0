// ftctl nodes: machines that joined, their devices and what runs there; ftctl nodes remove: forgets one.
#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/render/table.h"
#include "client/render/units.h"
#include "client/render/width.h"
#include "client/session/output.h"
#include "finetune/v1/nodes.grpc.pb.h"

namespace ft::client {
namespace {

struct NodesOptions {};

struct RemoveOptions {
  std::string node;
};

std::string DeviceText(const v1::Device& device) {
  std::string text = device.kind();
  if (device.cores() > 0) StrAppend(&text, ":", device.cores());
  if (!device.arch().empty()) StrAppend(&text, " ", device.arch());
  if (!device.model().empty()) StrAppend(&text, " ", device.model());
  return text;
}

// A sentence for each device that takes no job.
void PrintProblems(const Session& session, const v1::ListNodesResponse& nodes) {
  for (const v1::Node& node : nodes.nodes()) {
    for (const v1::Device& device : node.devices()) {
      if (device.problem().empty()) continue;
      PrintLine(Wrap(StrCat(node.node_id(), " ", Printable(device.uuid()), ": ",
                            Printable(session.InLanguage(device.problem()))),
                     session.terminal.columns, 2));
    }
  }
}

StatusOr<int> Nodes(const NodesOptions&, Session& session) {
  ASSIGN_OR_RETURN(const v1::ListNodesResponse nodes,
                   session.Call(&v1::NodeService::Stub::ListNodes, v1::ListNodesRequest()));
  if (session.json()) {
    Print(ToJsonText(nodes));
    return kExitOk;
  }
  if (nodes.nodes().empty()) {
    PrintNotice(session.Localized(Text::kNoNodes));
    return kExitOk;
  }
  Table table({{.title = Text::kColumnNode, .may_cut = true},
               {.title = Text::kColumnState},
               {.title = Text::kColumnDevice, .may_cut = true, .min_width = 12},
               {.title = Text::kColumnFree, .align = Align::kRight},
               {.title = Text::kColumnMemory, .align = Align::kRight},
               {.title = Text::kColumnJobs, .align = Align::kRight},
               {.title = Text::kColumnSeen, .align = Align::kRight}});
  for (const v1::Node& node : nodes.nodes()) {
    const std::string jobs = StrCat(node.jobs_size());
    const std::string seen = AgeOf(node.last_contact_time());
    if (node.devices().empty()) {
      table.AddRow({node.node_id(), StateName(session, node.state()), session.Localized(Text::kNone), "-",
                    "-", jobs, seen});
    }
    for (int i = 0; i < node.devices_size(); ++i) {
      const v1::Device& device = node.devices(i);
      const std::string free = FormatBytes(device.free_memory_bytes());
      const std::string total = FormatBytes(device.total_memory_bytes());
      if (i == 0) {
        table.AddRow(
            {node.node_id(), StateName(session, node.state()), DeviceText(device), free, total, jobs, seen});
      } else {
        table.AddRow({"", "", DeviceText(device), free, total, "", ""});
      }
    }
  }
  Print(table.Render(session.terminal));
  PrintProblems(session, nodes);
  return kExitOk;
}

StatusOr<int> Remove(const RemoveOptions& options, Session& session) {
  v1::NodeRequest request;
  request.set_node_id(options.node);
  request.set_request_id(NewRequestId());
  ASSIGN_OR_RETURN(const v1::RemoveNodeResponse removed,
                   session.Call(&v1::NodeService::Stub::RemoveNode, request));
  if (session.json()) {
    Print(ToJsonText(removed));
  } else {
    PrintLine(session.Localized(Text::kNodeRemoved, options.node));
  }
  return kExitOk;
}

}  // namespace

void AddNodes(CLI::App& root, Session& session) {
  auto options = std::make_shared<NodesOptions>();
  CLI::App* verb =
      root.add_subcommand("nodes", "Machines, their devices and free memory")->group(kGroupMachine);
  verb->callback([options, verb, &session] {
    if (verb->get_subcommands().empty())
      session.action = [options, &session] { return Nodes(*options, session); };
  });
  auto removed = std::make_shared<RemoveOptions>();
  CLI::App* remove = verb->add_subcommand("remove", "Forget a node that is gone for good");
  remove->add_option("NODE", removed->node, "As `ftctl nodes` names it")->required()->type_name("");
  SetAction(remove, removed, session, Remove);
}

}  // namespace ft::client
