// Configuration of `ft-worker`: one flat YAML file, every key with a default.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/base/status.h"
#include "core/hub/access.h"

namespace ft::agent {

struct Config {
  std::string coordinator;  // unix:/path or host:port; default the worker socket in finetuned's data folder.
  std::string certificate;  // PEM files: our certificate, its key, and who signs the coordinator's; all three
                            // or none.
  std::string key;
  std::string ca;
  std::string address = "127.0.0.1";  // Where peers on other nodes reach ranks of this one.
  std::string
      shared;        // Folder that every node with the same value sees: run folders lie there; empty = data.
  std::string data;  // Default $XDG_DATA_HOME/ft-worker or ~/.local/share/ft-worker.
  std::string node_id;        // Default the host name.
  int64_t cores = 0;          // Offered to ranks; 0 = all this process may use.
  int64_t prepare_slots = 0;  // Jobs prepared at a time; 0 = half the cores, at least 1.
  int64_t slots_per_device =
      1;                    // Jobs of one rank that share a card, each with as large a part of its memory.
  std::string rank_binary;  // Default ft-rank beside this program.
  std::string metrics = "127.0.0.1:9465";  // Prometheus; 0 = off.
  std::string probes = "0";                // /livez and /readyz; 0 = off.
  std::string nvml = "libnvidia-ml.so.1";  // Opened at run time; without it the node offers CPU cores only.
  absl::Duration poll = absl::Milliseconds(100);     // How often ranks' files are looked at.
  absl::Duration hang_timeout = absl::Seconds(120);  // Least time without progress after which a rank hangs.
  absl::Duration start_timeout = absl::Minutes(30);  // The same, while it loads or prepares.
  absl::Duration agent_backoff =
      absl::Seconds(10);  // Longest wait before an agent that keeps dying starts again.
  // How long a worker that is asked to stop may take to checkpoint its ranks and deliver what they wrote.
  absl::Duration stop_grace = absl::Minutes(15);
  int64_t cache_max = int64_t{64} << 30;  // Bytes of prepared data kept; the least recently used goes first.
  int64_t log_bytes = int64_t{64} << 20;  // Kept of each of a rank's output files.
  // Where ranks find model hubs and keep what they download; defaults are those of the environment (core/hub/access.h).
  std::string huggingface_endpoint, modelscope_endpoint;
  std::string huggingface_cache, modelscope_cache;
  bool hub_offline = false;  // No request to any hub: only what is in the caches.
  std::map<std::string, std::string> labels;
  std::string log_format = "text";
  std::string log_level = "info";

  void TakeHubs(const hub::Settings& settings);
  Status Complete();
  hub::Settings Hubs() const;
  bool has_tls() const { return !ca.empty(); }
  std::filesystem::path RunsDir() const { return std::filesystem::path(data) / "runs"; }
  // Checkpoints, which an attempt on another node may resume from.
  std::filesystem::path SharedRunsDir() const {
    return shared.empty() ? RunsDir() : std::filesystem::path(shared) / "runs";
  }
  std::filesystem::path CacheDir() const {
    return std::filesystem::path(shared.empty() ? data : shared) / "cache";
  }
};

Status ReadConfigFile(const std::filesystem::path& path, Config* config);

}  // namespace ft::agent
