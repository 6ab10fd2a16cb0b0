#include <utility>

#include "core/http/http_server.h"

#include <pthread.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <list>
#include <optional>
#include <thread>

namespace ft::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using Tcp = asio::ip::tcp;

constexpr std::chrono::seconds kRequestTimeout{5};
constexpr size_t kMaxHeaderBytes = 8 << 10;
constexpr std::chrono::milliseconds kAcceptPause{100};

// HOST:PORT; a host in brackets is IPv6.
StatusOr<Tcp::endpoint> EndpointOf(asio::io_context& context, const std::string& address) {
  const Status wrong = absl::InvalidArgumentError(StrCat("'", address, "' is no HOST:PORT"));
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return wrong;
  int port = -1;
  const char* end = address.data() + address.size();
  const auto parsed = std::from_chars(address.data() + colon + 1, end, port);
  if (parsed.ptr != end || parsed.ec != std::errc() || port < 0 || port > 65535) return wrong;
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  beast::error_code error;
  Tcp::resolver resolver(context);
  const auto found = resolver.resolve(host, std::to_string(port), Tcp::resolver::passive, error);
  if (error || found.empty()) return wrong;
  return found.begin()->endpoint();
}

}  // namespace

class HttpServer::Impl {
 public:
  explicit Impl(std::map<std::string, Handler> pages) : pages_(std::move(pages)) {}

  Status Listen(const std::string& address) {
    ASSIGN_OR_RETURN(const Tcp::endpoint endpoint, EndpointOf(context_, address));
    beast::error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) return absl::UnavailableError(error.message());
    return absl::OkStatus();
  }

  void Run() {
    Accept();
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "http");
      context_.run();
    });
  }

  ~Impl() {
    if (!thread_.joinable()) return;
    asio::post(context_, [this] { context_.stop(); });
    thread_.join();
  }

  int port() const { return acceptor_.local_endpoint().port(); }

 private:
  // One client. Lives as long as an operation on it is pending.
  class Connection : public std::enable_shared_from_this<Connection> {
   public:
    Connection(Impl& server, Tcp::socket socket) : server_(server), stream_(std::move(socket)) {}

    void ReadRequest() {
      parser_.emplace();
      parser_->header_limit(kMaxHeaderBytes);
      parser_->body_limit(0);
      stream_.expires_after(kRequestTimeout);
      beast::http::async_read(stream_, buffer_, *parser_,
                              [self = shared_from_this()](const beast::error_code& error, size_t) {
                                if (!error) self->Answer();
                              });
    }

    void Close() { stream_.close(); }

   private:
    void Answer() {
      const auto& request = parser_->get();
      const Page page = server_.PageFor(request.method(), std::string(request.target()));
      response_ = {};
      response_.version(request.version());
      response_.result(static_cast<unsigned>(page.status));
      response_.set(beast::http::field::content_type, page.content_type);
      response_.body() = request.method() == beast::http::verb::head ? "" : page.body;
      response_.keep_alive(request.keep_alive());
      response_.prepare_payload();
      stream_.expires_after(kRequestTimeout);
      beast::http::async_write(stream_, response_,
                               [self = shared_from_this()](const beast::error_code& error, size_t) {
                                 if (!error && self->response_.keep_alive()) self->ReadRequest();
                               });
    }

    Impl& server_;
    beast::tcp_stream stream_;
    beast::flat_buffer buffer_{kMaxHeaderBytes};
    std::optional<beast::http::request_parser<beast::http::empty_body>> parser_;
    beast::http::response<beast::http::string_body> response_;
  };

  Page PageFor(beast::http::verb method, const std::string& target) const {
    if (method != beast::http::verb::get && method != beast::http::verb::head) return {405, "GET only\n"};
    const auto page = pages_.find(target.substr(0, target.find('?')));
    return page == pages_.end() ? Page{404, "no such page\n"} : page->second();
  }

  void Accept() {
    acceptor_.async_accept([this](const beast::error_code& error, Tcp::socket socket) {
      if (error) {
        // Out of descriptors: what is open now ends within seconds.
        pause_.expires_after(kAcceptPause);
        pause_.async_wait([this](const beast::error_code& stopped) {
          if (!stopped) Accept();
        });
        return;
      }
      Take(std::move(socket));
      Accept();
    });
  }

  void Take(Tcp::socket socket) {
    const auto connection = std::make_shared<Connection>(*this, std::move(socket));
    connections_.remove_if([](const std::weak_ptr<Connection>& old) { return old.expired(); });
    connections_.push_back(connection);
    if (connections_.size() > kMaxConnections) {
      if (const auto oldest = connections_.front().lock()) oldest->Close();
      connections_.pop_front();
    }
    connection->ReadRequest();
  }

  const std::map<std::string, Handler> pages_;
  asio::io_context context_{1};
  Tcp::acceptor acceptor_{context_};
  asio::steady_timer pause_{context_};
  std::list<std::weak_ptr<Connection>> connections_;  // Oldest first.
  std::thread thread_;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;
int HttpServer::port() const { return impl_->port(); }

StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address,
                                                        std::map<std::string, Handler> pages) {
  auto impl = std::make_unique<Impl>(std::move(pages));
  RETURN_IF_ERROR(impl->Listen(address));
  impl->Run();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

}  // namespace ft::http
