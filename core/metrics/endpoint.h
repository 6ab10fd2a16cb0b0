// Serves a registry at http://ADDRESS/metrics, and /healthz for probes. One thread of its own inside; Stop by destroying it.
#pragma once

#include <prometheus/exposer.h>
#include <prometheus/registry.h>

#include <memory>
#include <string>

#include "core/base/status.h"

namespace ft::metrics {

class Endpoint {
 public:
  // `address` is "127.0.0.1:PORT" (PORT 0 = any free one). UNAVAILABLE when the port is in use.
  static StatusOr<std::unique_ptr<Endpoint>> Start(const std::string& address,
                                                   std::shared_ptr<prometheus::Registry> registry);
  // From now on /healthz answers 200; until then 404. May be called again.
  void SetServing();
  int port() const { return exposer_->GetListeningPorts().front(); }

 private:
  std::unique_ptr<prometheus::Exposer> exposer_;
  std::shared_ptr<prometheus::Registry> registry_;
  std::shared_ptr<prometheus::Registry> serving_;  // Without metrics: its page is there, and empty.
};

}  // namespace ft::metrics
