// One HTTP request and its answer, by libcurl. Redirects are not followed here and nothing is tried again: client.h decides both.
// https only, http on this machine excepted; 10 s to connect, and less than 1 KiB/s for 60 s counts as cut. Proxies are those of
// the usual variables (https_proxy, no_proxy).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/hub/url.h"

namespace ft::hub {

struct HttpRequest {
  Url url;
  std::vector<std::string> headers;  // "Name: value"
  bool may_be_private = false;       // Whether the address may be of this machine or a private network.
};

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // By lower-case names; of one that comes twice, the last.
  bool private_address = false;                // Who answered is on this machine or a private network.

  std::string Header(const std::string& lower_case_name) const {
    const auto found = headers.find(lower_case_name);
    return found == headers.end() ? "" : found->second;
  }
};

// Takes the body piece by piece, after the headers; an error ends the transfer.
using BodySink = std::function<Status(const HttpAnswer& head, std::span<const std::byte> piece)>;

// Thread-safe.
class Transport {
 public:
  virtual ~Transport() = default;
  // UNAVAILABLE, naming the host: no connection, cut, or too slow; what came before the cut has gone to the sink.
  // PERMISSION_DENIED: the address is private and must not be. CANCELLED: `stop` was asked for. Else the sink's error.
  virtual StatusOr<HttpAnswer> Get(const HttpRequest& request, const BodySink& sink,
                                   const std::stop_token& stop) = 0;
};

std::unique_ptr<Transport> MakeCurlTransport();

}  // namespace ft::hub
