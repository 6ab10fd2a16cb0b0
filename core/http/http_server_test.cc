#include "core/http/http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "core/base/file.h"

namespace ft::http {
namespace {

UniqueFd Connect(int port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<uint16_t>(port));
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
  timeval limit{.tv_sec = 10, .tv_usec = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  return fd;
}

void Send(const UniqueFd& fd, const std::string& text) {
  ASSERT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

// Until `end` has come, or the other side closes.
std::string Receive(const UniqueFd& fd, const std::string& end = "") {
  std::string text;
  char buffer[4096];
  while (end.empty() || text.find(end) == std::string::npos) {
    const ssize_t got = ::recv(fd.get(), buffer, sizeof(buffer), 0);
    if (got <= 0) return text;
    text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

std::unique_ptr<HttpServer> Started() {
  auto server =
      HttpServer::Start("127.0.0.1:0", {{"/page", [] { return Page{.body = "content\n"}; }},
                                        {"/down", [] { return Page{.status = 503, .body = "not now\n"}; }}});
  EXPECT_TRUE(server.ok());
  return *std::move(server);
}

TEST(HttpServer, AnswersPagesAndRefusesTheRest) {
  const auto server = Started();
  const auto ask = [&](const std::string& line) {
    const UniqueFd fd = Connect(server->port());
    Send(fd, line + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    return Receive(fd);
  };
  EXPECT_TRUE(ask("GET /page").starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(ask("GET /page?x=1").ends_with("\r\n\r\ncontent\n"));
  EXPECT_TRUE(ask("HEAD /page").ends_with("\r\n\r\n"));
  EXPECT_TRUE(ask("GET /down").starts_with("HTTP/1.1 503"));
  EXPECT_TRUE(ask("GET /other").starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(ask("POST /page").starts_with("HTTP/1.1 405"));
}

TEST(HttpServer, AConnectionServesOneRequestAfterAnother) {
  const auto server = Started();
  const UniqueFd fd = Connect(server->port());
  for (int i = 0; i < 3; ++i) {
    Send(fd, "GET /page HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(Receive(fd, "content\n").starts_with("HTTP/1.1 200"));
  }
}

TEST(HttpServer, ClientsThatSayNothingKeepNobodyWaiting) {
  const auto server = Started();
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 200; ++i) silent.push_back(Connect(server->port()));
  for (int i = 0; i < 100; ++i) Send(silent[static_cast<size_t>(i)], "GET /pa");
  const auto start = std::chrono::steady_clock::now();
  const UniqueFd fd = Connect(server->port());
  Send(fd, "GET /page HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(Receive(fd).starts_with("HTTP/1.0 200"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  EXPECT_EQ(Receive(silent[0]), "");  // Within ten seconds it is closed.
}

TEST(HttpServer, RequestsThatAreTooLongAreCutOff) {
  const auto server = Started();
  const UniqueFd fd = Connect(server->port());
  const std::string endless = "GET /page HTTP/1.1\r\nX: " + std::string(20'000, 'a');
  ::send(fd.get(), endless.data(), endless.size(), MSG_NOSIGNAL);
  EXPECT_EQ(Receive(fd), "");
}

TEST(HttpServer, AnAddressThatIsTakenOrNoneIsRefused) {
  const auto server = Started();
  EXPECT_TRUE(
      absl::IsUnavailable(HttpServer::Start("127.0.0.1:" + std::to_string(server->port()), {}).status()));
  for (const char* wrong : {"", "127.0.0.1", ":1", "127.0.0.1:x", "127.0.0.1:70000"})
    EXPECT_TRUE(absl::IsInvalidArgument(HttpServer::Start(wrong, {}).status())) << wrong;
}

}  // namespace
}  // namespace ft::http
