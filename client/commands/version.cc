// ftctl version: this program's and the coordinator's.
#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/session/output.h"
#include "finetune/v1/nodes.grpc.pb.h"
#include "nlohmann/json.hpp"

namespace ft::client {
namespace {

struct VersionOptions {};

// The version must print also where nothing runs, so an unreachable coordinator is no failure here.
StatusOr<int> Version(const VersionOptions&, Session& session) {
  const StatusOr<v1::ServerInfo> server = session.Call(&v1::NodeService::Stub::GetServerInfo,
                                                       v1::GetServerInfoRequest(), std::chrono::seconds(2));
  if (session.json()) {
    nlohmann::ordered_json versions;
    versions["ftctl"] = FT_VERSION;
    versions["coordinator"] =
        server.ok() ? nlohmann::ordered_json(server->version()) : nlohmann::ordered_json();
    PrintLine(versions.dump(2));
    return kExitOk;
  }
  PrintLine(StrCat("ftctl        ", FT_VERSION));
  PrintLine(StrCat("coordinator  ", server.ok() ? server->version() : "not reachable"));
  return kExitOk;
}

}  // namespace

void AddVersion(CLI::App& root, Session& session) {
  auto options = std::make_shared<VersionOptions>();
  CLI::App* verb = root.add_subcommand("version", "Of ftctl and of the coordinator")->group(kGroupMachine);
  SetAction(verb, options, session, Version);
}

}  // namespace ft::client
