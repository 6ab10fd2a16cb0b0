#include "server/coordinator/config.h"

#include "core/config/config_file.h"
#include "core/rpc/listener.h"

namespace ft::coordinator {

Status Config::Complete() {
  if (data.empty()) data = config::DefaultDataDir("finetuned").string();
  data = std::filesystem::absolute(data).lexically_normal().string();
  if (socket.empty()) socket = data + "/finetuned.sock";
  if (worker_socket.empty()) worker_socket = data + "/worker.sock";
  if (lease < absl::Milliseconds(100)) return absl::InvalidArgumentError("lease: must be at least 100ms");
  for (const absl::Duration time : {stall, node_loss_timeout, hang_timeout, strict_margin, retry_backoff}) {
    if (time < absl::Milliseconds(10))
      return absl::InvalidArgumentError(
          "stall, node_loss_timeout, hang_timeout, strict_margin and retry_backoff: must be at least 10ms");
  }
  if (keep_events < 1000) return absl::InvalidArgumentError("keep_events: must be at least 1000");
  if (log_format != "text" && log_format != "json")
    return absl::InvalidArgumentError("log_format: must be text or json");
  return CheckTls();
}

Status Config::CheckTls() const {
  if (certificate.empty() != key.empty())
    return absl::InvalidArgumentError("certificate and key: give both or neither");
  if (!has_tls() && !(worker_ca.empty() && tokens.empty()))
    return absl::InvalidArgumentError("worker_ca and tokens: need certificate and key too");
  if (!has_tls()) return absl::OkStatus();
  if (!worker_listen.empty() && worker_ca.empty()) {
    return absl::InvalidArgumentError(
        "worker_listen: with TLS, workers must show a certificate: name the CA that signs them with "
        "worker_ca");
  }
  if (!listen.empty() && tokens.empty() && !rpc::IsLoopback(listen)) {
    return absl::InvalidArgumentError(
        StrCat("listen: ", listen, " is reached from other machines: name the users' tokens with tokens"));
  }
  return absl::OkStatus();
}

Status ReadConfigFile(const std::filesystem::path& path, Config* config) {
  config::ConfigReader reader;
  reader.Bind("data", &config->data);
  reader.Bind("socket", &config->socket);
  reader.Bind("listen", &config->listen);
  reader.Bind("worker_socket", &config->worker_socket);
  reader.Bind("worker_listen", &config->worker_listen);
  reader.Bind("certificate", &config->certificate);
  reader.Bind("key", &config->key);
  reader.Bind("worker_ca", &config->worker_ca);
  reader.Bind("tokens", &config->tokens);
  reader.Bind("metrics", &config->metrics);
  reader.Bind("probes", &config->probes);
  reader.Bind("roots", &config->roots);
  reader.Bind("lease", &config->lease);
  reader.Bind("stall", &config->stall);
  reader.Bind("node_loss_timeout", &config->node_loss_timeout);
  reader.Bind("hang_timeout", &config->hang_timeout);
  reader.Bind("strict_margin", &config->strict_margin);
  reader.Bind("retry_backoff", &config->retry_backoff);
  reader.Bind("keep_events", &config->keep_events);
  reader.Bind("log_format", &config->log_format);
  reader.Bind("log_level", &config->log_level);
  return reader.ReadFile(path);
}

}  // namespace ft::coordinator
