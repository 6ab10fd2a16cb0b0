// Serves a registry at http://ADDRESS/metrics. One thread of its own inside; Stop by destroying it.
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
  int port() const { return exposer_->GetListeningPorts().front(); }

 private:
  std::unique_ptr<prometheus::Exposer> exposer_;
  std::shared_ptr<prometheus::Registry> registry_;
};

}  // namespace ft::metrics
