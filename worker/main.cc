// ft-worker: the supervisor, which owns the ranks of this node, and (with --agent, started by it) the agent,
// which talks to the coordinator. SIGTERM or SIGINT drains: ranks checkpoint, everything is delivered, exit status 0. Exit
// status 2 when it cannot start.
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/hub/access.h"
#include "core/rpc/listener.h"
#include "core/rpc/logging.h"
#include "core/tls/credentials.h"
#include "worker/node/agent/agent.h"
#include "worker/node/agent/config.h"
#include "worker/node/supervisor/supervisor.h"

namespace {

int Fail(const ft::Status& status) {
  std::fprintf(stderr, "ft-worker: %s\n", std::string(ft::Message(status)).c_str());
  return 2;
}

int RunAgent(const ft::agent::Config& config) {
  // With the supervisor gone its ranks are gone too.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ft::rpc::SetUpLogging({"ft-worker", config.log_format == "json", config.log_level});
  ft::rpc::RouteGrpcLog();
  ft::agent::Agent agent(config, ft::UniqueFd(3));
  const ft::Status status = agent.Run();
  if (!status.ok()) return Fail(status);
  // Calls in flight end with the process; what they carried is sent again by the next agent.
  std::fflush(nullptr);
  ::_exit(0);
}

int RunSupervisor(const ft::agent::Config& config, const std::vector<std::string>& arguments) {
  sigset_t handled;
  sigemptyset(&handled);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&handled, signal);
  pthread_sigmask(SIG_BLOCK, &handled, nullptr);
  ft::supervisor::SupervisorOptions options;
  options.data_dir = config.data;
  options.max_backoff_ms = absl::ToInt64Milliseconds(config.agent_backoff);
  options.stop_grace_ms = absl::ToInt64Milliseconds(config.stop_grace);
  std::error_code error;
  options.agent_argv = {std::filesystem::read_symlink("/proc/self/exe", error).string(), "--agent"};
  options.agent_argv.insert(options.agent_argv.end(), arguments.begin(), arguments.end());
  const ft::Status status = ft::supervisor::Supervisor(std::move(options)).Run();
  return status.ok() ? 0 : Fail(status);
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  ft::agent::Config config;
  config.TakeHubs(ft::hub::SettingsOf(ft::hub::ProcessVariables()));
  std::string config_file;
  bool is_agent = false;
  CLI::App app{
      "ft-worker: runs ranks on this node for the coordinator. With no arguments it joins the coordinator of "
      "this "
      "user on this machine."};
  app.add_option("--config", config_file, "YAML file with any of the keys of docs/config.md");
  auto* data = app.add_option("--data", "data folder");
  auto* coordinator = app.add_option("--coordinator", "unix:/path/worker.sock or HOST:PORT");
  auto* address = app.add_option("--address", "where ranks on other nodes reach the ranks of this one");
  auto* node = app.add_option("--node-id", "name of this node");
  auto* cores = app.add_option("--cores", "cores to offer, 0 = all");
  auto* rank_binary = app.add_option("--rank-binary", "the ft-rank program");
  auto* metrics = app.add_option("--metrics", "Prometheus address, 0 = off");
  app.add_flag("--agent", is_agent)->group("");
  app.set_version_flag("--version", FT_VERSION);
  try {
    app.parse(argc, argv);
    if (!config_file.empty()) {
      const ft::Status read = ft::agent::ReadConfigFile(config_file, &config);
      if (!read.ok()) return Fail(read);
    }
    if (data->count() > 0) config.data = data->as<std::string>();
    if (coordinator->count() > 0) config.coordinator = coordinator->as<std::string>();
    if (address->count() > 0) config.address = address->as<std::string>();
    if (node->count() > 0) config.node_id = node->as<std::string>();
    if (cores->count() > 0) config.cores = cores->as<int64_t>();
    if (rank_binary->count() > 0) config.rank_binary = rank_binary->as<std::string>();
    if (metrics->count() > 0) config.metrics = metrics->as<std::string>();
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (const ft::Status complete = config.Complete(); !complete.ok()) return Fail(complete);
  if (is_agent) return RunAgent(config);
  const ft::Status files = ft::tls::Check({config.certificate, config.key, config.ca}, "ca");
  if (!files.ok()) return Fail(files);
  return RunSupervisor(config, std::vector<std::string>(argv + 1, argv + argc));
}
