// Pages for the probes of an orchestrator, on a port of their own: /livez and /readyz, 200 or 503 with one sentence.
//
// Live means that every loop of the daemon has turned within kTurnLimit; what is not live is best restarted. It says nothing
// of whether the daemon can do its work now: that is readiness, which is lost while it starts and from when it is asked to stop.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/http/http_server.h"

namespace ft::http {

// When a loop last turned. Any thread.
class Heartbeat {
 public:
  void Turn(absl::Duration boot_time) { at_ = absl::ToInt64Nanoseconds(boot_time); }
  absl::Duration at() const { return absl::Nanoseconds(at_.load()); }

 private:
  std::atomic<int64_t> at_ = 0;
};

inline constexpr absl::Duration kTurnLimit = absl::Seconds(20);

// Pure: the page of /livez. `turned`: loops by name, and when each last turned.
Page LivePage(const std::map<std::string, absl::Duration>& turned, absl::Duration now);

class Probes {
 public:
  // The heartbeats, by name, outlive this object and have turned at least once. Errors as HttpServer::Start's, naming the key
  // `probes`.
  static StatusOr<std::unique_ptr<Probes>> Start(const std::string& address, const Clock& clock,
                                                 std::map<std::string, const Heartbeat*> loops);
  // `why_not` is what /readyz says otherwise.
  void SetReady(bool ready, const std::string& why_not = "");
  int port() const { return server_->port(); }

 private:
  Page Ready() const;

  mutable std::mutex mutex_;  // Guards ready_ and why_not_.
  bool ready_ = false;
  std::string why_not_ = "it is starting";
  std::unique_ptr<HttpServer> server_;  // Last: its pages use the rest.
};

}  // namespace ft::http
