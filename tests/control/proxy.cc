#include "tests/control/proxy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace ft::testing {
namespace {

constexpr size_t kMaxBuffered = 1 << 20;

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  return address;
}

UniqueFd NewSocket() { return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

// Reads what there is; false when the other end is gone.
bool Fill(int fd, std::string& buffer) {
  char block[65536];
  while (buffer.size() < kMaxBuffered) {
    const ssize_t got = ::recv(fd, block, sizeof(block), MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    buffer.append(block, static_cast<size_t>(got));
  }
  return true;
}

bool Drain(int fd, std::string& buffer) {
  while (!buffer.empty()) {
    const ssize_t sent = ::send(fd, buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    buffer.erase(0, static_cast<size_t>(sent));
  }
  return true;
}

}  // namespace

Proxy::Proxy(std::string path, std::string target) : path_(std::move(path)), target_(std::move(target)) {
  listener_ = NewSocket();
  const sockaddr_un address = AddressOf(path_);
  EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0)
      << path_;
  EXPECT_EQ(::listen(listener_.get(), 16), 0);
  thread_ = std::thread([this] { Main(); });
}

Proxy::~Proxy() {
  stop_ = true;
  thread_.join();
  ::unlink(path_.c_str());
}

void Proxy::Accept() {
  while (true) {
    UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client.valid()) return;
    if (wire_ == Wire::kCut) continue;
    UniqueFd server = NewSocket();
    const sockaddr_un address = AddressOf(target_);
    if (::connect(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) continue;
    const int key = client.get();
    ways_[key] = Way{std::move(client), std::move(server), "", ""};
  }
}

bool Proxy::Pump(Way& way) {
  const Wire wire = wire_;
  if (wire == Wire::kCut) return false;
  bool open = true;
  if (wire == Wire::kPass || wire == Wire::kToServer) {
    open = Fill(way.client.get(), way.to_server) && Drain(way.server.get(), way.to_server) && open;
  }
  if (wire == Wire::kPass || wire == Wire::kToClient) {
    open = Fill(way.server.get(), way.to_client) && Drain(way.client.get(), way.to_client) && open;
  }
  return open;
}

void Proxy::Main() {
  while (!stop_) {
    std::vector<pollfd> fds = {{listener_.get(), POLLIN, 0}};
    const bool passes = wire_ == Wire::kPass;
    for (auto& [key, way] : ways_) {
      if (!passes) break;  // Looked at by the clock only, or what does not pass would wake us all the time.
      fds.push_back(
          {way.client.get(), static_cast<short>(POLLIN | (way.to_client.empty() ? 0 : POLLOUT)), 0});
      fds.push_back(
          {way.server.get(), static_cast<short>(POLLIN | (way.to_server.empty() ? 0 : POLLOUT)), 0});
    }
    ::poll(fds.data(), fds.size(), passes ? 10 : 2);
    if (wire_ != Wire::kSilent) Accept();
    if (reset_.exchange(false)) ways_.clear();
    for (auto it = ways_.begin(); it != ways_.end();) it = Pump(it->second) ? std::next(it) : ways_.erase(it);
  }
}

}  // namespace ft::testing
