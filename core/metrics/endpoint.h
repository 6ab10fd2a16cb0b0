// Serves a registry at http://ADDRESS/metrics, and /healthz for probes. One thread of its own inside; stop it by destroying it.
#pragma once

#include <prometheus/registry.h>

#include <atomic>
#include <memory>
#include <string>

#include "core/base/status.h"
#include "core/http/http_server.h"

namespace ft::metrics {

class Endpoint {
 public:
  // `address` is HOST:PORT (PORT 0 = any free one). UNAVAILABLE when the port is in use.
  static StatusOr<std::unique_ptr<Endpoint>> Start(const std::string& address,
                                                   std::shared_ptr<prometheus::Registry> registry);
  // From now on /healthz answers 200; until then 404. May be called again.
  void SetServing() { serving_ = true; }
  int port() const { return server_->port(); }

 private:
  std::atomic<bool> serving_ = false;
  std::unique_ptr<http::HttpServer> server_;  // Last: its pages use the rest.
};

}  // namespace ft::metrics
