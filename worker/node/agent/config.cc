#include "worker/node/agent/config.h"

#include <unistd.h>

#include <cctype>

#include "core/base/dns_name.h"
#include "core/config/config_file.h"

namespace ft::agent {
namespace {

// Plain text goes no further than this machine.
bool IsLocal(const std::string& address) {
  for (const char* start : {"unix:", "127.", "localhost:", "[::1]:"}) {
    if (address.starts_with(start)) return true;
  }
  return false;
}

Status CheckTls(const Config& config) {
  if (config.certificate.empty() != config.ca.empty() || config.key.empty() != config.ca.empty())
    return absl::InvalidArgumentError("certificate, key and ca: give all three or none");
  if (config.has_tls() && config.coordinator.starts_with("unix:")) {
    return absl::InvalidArgumentError(
        StrCat("coordinator: ", config.coordinator,
               " is a socket and speaks no TLS: give HOST:PORT, or no certificate"));
  }
  if (!config.has_tls() && !IsLocal(config.coordinator)) {
    return absl::InvalidArgumentError(
        StrCat("coordinator: ", config.coordinator,
               " is on another machine, and plain text stays on this one: give certificate, "
               "key and ca"));
  }
  return absl::OkStatus();
}

// The host's name in the characters that a node's name may have.
std::string NodeIdOf(std::string host) {
  for (char& c : host) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.') c = '-';
  }
  return IsDnsName(host) ? host : "node";
}

// A worker whose user has no home keeps what it downloads where it keeps everything.
Status CompleteHubs(Config& config) {
  for (const auto& [folder, name] : {std::pair(&config.huggingface_cache, "huggingface"),
                                     std::pair(&config.modelscope_cache, "modelscope")}) {
    if (folder->empty()) *folder = (config.CacheDir() / name).string();
    *folder = std::filesystem::absolute(*folder).lexically_normal().string();
  }
  const hub::Settings usual;
  if (config.huggingface_endpoint.empty()) config.huggingface_endpoint = usual.huggingface_endpoint;
  if (config.modelscope_endpoint.empty()) config.modelscope_endpoint = usual.modelscope_endpoint;
  for (const auto& [endpoint, key] : {std::pair(&config.huggingface_endpoint, "huggingface_endpoint"),
                                      std::pair(&config.modelscope_endpoint, "modelscope_endpoint")}) {
    while (endpoint->ends_with('/')) endpoint->pop_back();
    RETURN_IF_ERROR(hub::CheckEndpoint(key, *endpoint));
  }
  return absl::OkStatus();
}

}  // namespace

void Config::TakeHubs(const hub::Settings& settings) {
  huggingface_endpoint = settings.huggingface_endpoint;
  modelscope_endpoint = settings.modelscope_endpoint;
  huggingface_cache = settings.huggingface_cache.string();
  modelscope_cache = settings.modelscope_cache.string();
  hub_offline = settings.offline;
}

hub::Settings Config::Hubs() const {
  return {.huggingface_endpoint = huggingface_endpoint,
          .modelscope_endpoint = modelscope_endpoint,
          .huggingface_cache = huggingface_cache,
          .modelscope_cache = modelscope_cache,
          .offline = hub_offline};
}

Status Config::Complete() {
  namespace fs = std::filesystem;
  if (coordinator.empty())
    coordinator = "unix:" + (config::DefaultDataDir("finetuned") / "worker.sock").string();
  RETURN_IF_ERROR(CheckTls(*this));
  if (data.empty()) data = config::DefaultDataDir("ft-worker").string();
  data = fs::absolute(data).lexically_normal().string();
  if (node_id.empty()) {
    char host[256] = {};
    ::gethostname(host, sizeof(host) - 1);
    node_id = NodeIdOf(host);
  }
  if (!IsDnsName(node_id))
    return absl::InvalidArgumentError("node_id: must be a DNS name of a-z, 0-9, '-' and '.'");
  if (rank_binary.empty()) {
    std::error_code error;
    rank_binary = (fs::read_symlink("/proc/self/exe", error).parent_path() / "ft-rank").string();
  }
  if (cores < 0 || cores > 4096) return absl::InvalidArgumentError("cores: must be from 0 (all) to 4096");
  if (prepare_slots < 0 || prepare_slots > 4096)
    return absl::InvalidArgumentError("prepare_slots: must be from 0 (half the cores) to 4096");
  if (slots_per_device < 1 || slots_per_device > 16)
    return absl::InvalidArgumentError("slots_per_device: must be from 1 to 16");
  if (!shared.empty()) shared = fs::absolute(shared).lexically_normal().string();
  RETURN_IF_ERROR(CompleteHubs(*this));
  if (address.empty()) return absl::InvalidArgumentError("address: must not be empty");
  if (hang_timeout < absl::Milliseconds(10) || start_timeout < absl::Milliseconds(10))
    return absl::InvalidArgumentError("hang_timeout and start_timeout: must be at least 10ms");
  if (agent_backoff < absl::Milliseconds(10))
    return absl::InvalidArgumentError("agent_backoff: must be at least 10ms");
  if (stop_grace < absl::ZeroDuration() || stop_grace > absl::Hours(24 * 7))
    return absl::InvalidArgumentError("stop_grace: must be from 0 to 168h");
  if (cache_max < 0) return absl::InvalidArgumentError("cache_max: must not be negative");
  if (log_bytes < 1 << 16) return absl::InvalidArgumentError("log_bytes: must be at least 65536");
  if (poll < absl::Milliseconds(1)) return absl::InvalidArgumentError("poll: must be at least 1ms");
  if (log_format != "text" && log_format != "json")
    return absl::InvalidArgumentError("log_format: must be text or json");
  return absl::OkStatus();
}

Status ReadConfigFile(const std::filesystem::path& path, Config* config) {
  config::ConfigReader reader;
  reader.Bind("coordinator", &config->coordinator);
  reader.Bind("certificate", &config->certificate);
  reader.Bind("key", &config->key);
  reader.Bind("ca", &config->ca);
  reader.Bind("address", &config->address);
  reader.Bind("shared", &config->shared);
  reader.Bind("data", &config->data);
  reader.Bind("node_id", &config->node_id);
  reader.Bind("cores", &config->cores);
  reader.Bind("prepare_slots", &config->prepare_slots);
  reader.Bind("slots_per_device", &config->slots_per_device);
  reader.Bind("rank_binary", &config->rank_binary);
  reader.Bind("metrics", &config->metrics);
  reader.Bind("probes", &config->probes);
  reader.Bind("nvml", &config->nvml);
  reader.Bind("poll", &config->poll);
  reader.Bind("hang_timeout", &config->hang_timeout);
  reader.Bind("start_timeout", &config->start_timeout);
  reader.Bind("agent_backoff", &config->agent_backoff);
  reader.Bind("stop_grace", &config->stop_grace);
  reader.Bind("cache_max", &config->cache_max);
  reader.Bind("log_bytes", &config->log_bytes);
  reader.Bind("huggingface_endpoint", &config->huggingface_endpoint);
  reader.Bind("modelscope_endpoint", &config->modelscope_endpoint);
  reader.Bind("huggingface_cache", &config->huggingface_cache);
  reader.Bind("modelscope_cache", &config->modelscope_cache);
  reader.Bind("hub_offline", &config->hub_offline);
  reader.Bind("labels", &config->labels);
  reader.Bind("log_format", &config->log_format);
  reader.Bind("log_level", &config->log_level);
  return reader.ReadFile(path);
}

}  // namespace ft::agent
