// A small HTTP/1.1 server for pages that are made at once: probes, metrics. GET and HEAD only. One thread of its own, on which
// handlers run; they must not wait. No number of clients that say nothing, or read nothing, keeps others waiting: a request has
// five seconds from the connection or the answer before it, and of more than kMaxConnections the oldest goes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/base/status.h"

namespace ft::http {

struct Page {
  int status = 200;
  std::string body;
  std::string content_type = "text/plain; charset=utf-8";
};

using Handler = std::function<Page()>;

class HttpServer {
 public:
  static constexpr size_t kMaxConnections = 1024;

  // `address` is HOST:PORT (PORT 0 = any free one). UNAVAILABLE when the port is in use, INVALID_ARGUMENT when it is no address.
  static StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address,
                                                     std::map<std::string, Handler> pages);
  // Ends connections and joins the thread; no handler runs afterwards.
  ~HttpServer();
  int port() const;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ft::http
