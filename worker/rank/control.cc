#include "worker/rank/control.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace ft::rank {
namespace {

constexpr size_t kMaxWord = 64;  // Longer words are nonsense and are dropped.

}  // namespace

Control::Control(int fd) : fd_(fd) {
  if (!fd_.valid()) return;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) fd_.Reset();
}

Control::Wishes Control::Poll() {
  char buffer[256];
  while (fd_.valid()) {
    const ssize_t got = ::read(fd_.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (got <= 0) {
      fd_.Reset();
      break;
    }
    pending_.append(buffer, static_cast<size_t>(got));
  }
  Wishes wishes;
  size_t end;
  while ((end = pending_.find('\n')) != std::string::npos) {
    const std::string word = pending_.substr(0, end);
    pending_.erase(0, end + 1);
    if (word == "checkpoint") wishes.checkpoint = true;
    if (word == "stop") stop_ = true;
  }
  if (pending_.size() > kMaxWord) pending_.clear();
  wishes.stop = stop_;
  return wishes;
}

}  // namespace ft::rank
