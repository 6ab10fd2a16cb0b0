// Configuration of `finetuned`: one flat YAML file, every key with a default, so that no file is needed on a
// laptop.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/base/status.h"

namespace ft::coordinator {

struct Config {
  std::string data;           // Data folder; default $XDG_DATA_HOME/finetuned or ~/.local/share/finetuned.
  std::string socket;         // User socket; default <data>/finetuned.sock. Mode 0600.
  std::string listen;         // Also for users: HOST:PORT; empty = socket only.
  std::string worker_socket;  // Worker socket; default <data>/worker.sock.
  std::string worker_listen;  // Also for workers: HOST:PORT; empty = socket only.
  std::string
      certificate;  // PEM files: with certificate and key, TCP ports speak TLS, else plain text on loopback.
  std::string key;
  std::string worker_ca;                   // Who signs workers' certificates.
  std::string tokens;                      // Users' tokens, hashed (core/rpc/authorize.h).
  std::string metrics = "127.0.0.1:9464";  // Prometheus; 0 = off.
  std::string probes = "0";                // /livez and /readyz; 0 = off.
  std::vector<std::string> roots;          // Folders that models and data may come from; empty = anywhere.
  absl::Duration lease = absl::Seconds(15);
  absl::Duration stall = absl::Seconds(15);  // Without a beat while a node is silent: the gang is dead.
  absl::Duration node_loss_timeout = absl::Seconds(120);  // The same, where no other node can bear witness.
  absl::Duration hang_timeout =
      absl::Seconds(120);  // Without progress, while every rank of a gang waits: it hangs.
  absl::Duration strict_margin = absl::Seconds(5);  // Beyond a lease, before a strict_exclusive job restarts.
  absl::Duration retry_backoff = absl::Seconds(1);  // First wait after failures that wait; doubled in a row.
  int64_t keep_events = 10'000'000;                 // Newest events kept for watches to resume from.
  std::string log_format = "text";                  // text | json
  std::string log_level = "info";                   // trace | debug | info | warn | error

  // Fills what depends on other values; INVALID_ARGUMENT when a value cannot be.
  Status Complete();
  bool has_tls() const { return !certificate.empty(); }

 private:
  Status CheckTls() const;
};

// The file's values over the defaults.
Status ReadConfigFile(const std::filesystem::path& path, Config* config);

}  // namespace ft::coordinator
