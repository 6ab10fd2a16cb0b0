#include "core/metrics/endpoint.h"

#include <exception>

namespace ft::metrics {

StatusOr<std::unique_ptr<Endpoint>> Endpoint::Start(const std::string& address,
                                                    std::shared_ptr<prometheus::Registry> registry) {
  auto endpoint = std::make_unique<Endpoint>();
  try {
    endpoint->exposer_ = std::make_unique<prometheus::Exposer>(address, 1);
    endpoint->exposer_->RegisterCollectable(registry);
  } catch (const std::exception&) {
    return absl::UnavailableError(
        StrCat("cannot serve metrics on ", address,
               ": stop the program that holds the port, or set metrics to another address or 0"));
  }
  endpoint->registry_ = std::move(registry);
  return endpoint;
}

void Endpoint::SetServing() {
  if (serving_ != nullptr) return;
  serving_ = std::make_shared<prometheus::Registry>();
  exposer_->RegisterCollectable(serving_, "/healthz");
}

}  // namespace ft::metrics
