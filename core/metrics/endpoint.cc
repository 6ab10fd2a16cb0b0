#include "core/metrics/endpoint.h"

#include <prometheus/text_serializer.h>

namespace ft::metrics {
namespace {

constexpr char kContentType[] = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace

StatusOr<std::unique_ptr<Endpoint>> Endpoint::Start(const std::string& address,
                                                    std::shared_ptr<prometheus::Registry> registry) {
  auto endpoint = std::make_unique<Endpoint>();
  std::map<std::string, http::Handler> pages;
  pages["/metrics"] = [registry = std::move(registry)] {
    return http::Page{200, prometheus::TextSerializer().Serialize(registry->Collect()), kContentType};
  };
  pages["/healthz"] = [endpoint = endpoint.get()] {
    return endpoint->serving_ ? http::Page{.body = "ok\n"} : http::Page{404, "not yet\n"};
  };
  auto server = http::HttpServer::Start(address, std::move(pages));
  if (!server.ok()) {
    return absl::UnavailableError(
        StrCat("cannot serve metrics on ", address,
               ": stop the program that holds the port, or set metrics to another address or 0"));
  }
  endpoint->server_ = *std::move(server);
  return endpoint;
}

}  // namespace ft::metrics
