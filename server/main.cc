// finetuned: the coordinator daemon. Exit status 0 after SIGTERM or SIGINT, 2 when it cannot start.
#include <signal.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/rpc/listener.h"
#include "core/rpc/logging.h"
#include "server/coordinator/coordinator.h"

namespace {

// Command line over file over defaults.
struct Arguments {
  std::string config_file;
  ft::coordinator::Config config;
};

int Fail(const ft::Status& status) {
  std::fprintf(stderr, "finetuned: %s\n", std::string(ft::Message(status)).c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  // Before any thread starts, so that only sigwait below sees them.
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  Arguments arguments;
  ft::coordinator::Config& config = arguments.config;
  CLI::App app{
      "finetuned: the coordinator of the fine-tuning service. With no arguments it keeps its state in your "
      "data "
      "folder and serves on a Unix socket there."};
  app.add_option("--config", arguments.config_file, "YAML file with any of the keys of docs/config.md");
  auto* data = app.add_option("--data", "data folder");
  auto* listen =
      app.add_option("--listen", "also serve users on HOST:PORT; beyond this machine with TLS only");
  auto* worker_listen =
      app.add_option("--worker-listen", "also serve workers on HOST:PORT; beyond this machine with TLS only");
  auto* metrics = app.add_option("--metrics", "Prometheus address, 0 = off");
  app.set_version_flag("--version", FT_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (!arguments.config_file.empty()) {
    const ft::Status read = ft::coordinator::ReadConfigFile(arguments.config_file, &config);
    if (!read.ok()) return Fail(read);
  }
  if (data->count() > 0) config.data = data->as<std::string>();
  if (listen->count() > 0) config.listen = listen->as<std::string>();
  if (worker_listen->count() > 0) config.worker_listen = worker_listen->as<std::string>();
  if (metrics->count() > 0) config.metrics = metrics->as<std::string>();
  if (const ft::Status complete = config.Complete(); !complete.ok()) return Fail(complete);
  ft::rpc::SetUpLogging({"finetuned", config.log_format == "json", config.log_level});
  ft::rpc::RouteGrpcLog();

  ft::coordinator::Coordinator coordinator(config);
  if (const ft::Status started = coordinator.Start(); !started.ok()) return Fail(started);
  int received = 0;
  sigwait(&stop_signals, &received);
  spdlog::info("stopping on {}", received == SIGINT ? "SIGINT" : "SIGTERM");
  coordinator.Stop();
  return 0;
}
