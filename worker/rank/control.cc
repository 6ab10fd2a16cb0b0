#include "worker/rank/control.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace ft::rank {
namespace {

constexpr size_t kMaxWord =
    320;  // Longer words are nonsense and are dropped; the longest is a host's name and a port.
constexpr std::string_view kRendezvous = "rendezvous ";
constexpr int kLookMillis = 50;

}  // namespace

Control::Control(int fd) : fd_(fd) {
  if (!fd_.valid()) return;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) fd_.Reset();
}

void Control::ReadWords() {
  char buffer[512];
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
  size_t end;
  while ((end = pending_.find('\n')) != std::string::npos) {
    const std::string word = pending_.substr(0, end);
    pending_.erase(0, end + 1);
    if (word == "checkpoint") checkpoint_ = true;
    if (word == "stop") stop_ = true;
    if (word.starts_with(kRendezvous)) rendezvous_ = word.substr(kRendezvous.size());
  }
  if (pending_.size() > kMaxWord) pending_.clear();
}

Control::Commands Control::Poll() {
  ReadWords();
  return {.checkpoint = std::exchange(checkpoint_, false), .stop = stop_};
}

bool Control::IsAskedToStop() {
  ReadWords();
  return stop_;
}

StatusOr<std::string> Control::AwaitRendezvous(std::chrono::milliseconds timeout,
                                               const std::function<void()>& waiting) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (true) {
    if (IsAskedToStop()) return absl::CancelledError("asked to stop before the ranks have met");
    if (!rendezvous_.empty()) return rendezvous_;
    if (!fd_.valid()) return absl::UnavailableError("the control socket closed before rank 0's address came");
    if (std::chrono::steady_clock::now() >= deadline) {
      return absl::DeadlineExceededError("rank 0's address did not come in time");
    }
    pollfd entry{fd_.get(), POLLIN, 0};
    if (::poll(&entry, 1, kLookMillis) == 0 && waiting) waiting();
  }
}

}  // namespace ft::rank
