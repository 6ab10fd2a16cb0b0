#include "core/rankhost/channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace ft::rankhost {
namespace {

constexpr int kSendTimeoutMillis = 1000;

// Room for the one descriptor that may travel with a packet.
union ControlBuffer {
  cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
};

Status Gone(std::string_view what) {
  return absl::UnavailableError(StrCat("the supervisor's socket: ", what, ": ", std::strerror(errno)));
}

UniqueFd PassedFd(const msghdr& message) {
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return UniqueFd();
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
  return UniqueFd(fd);
}

}  // namespace

StatusOr<std::pair<Channel, Channel>> Channel::Pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) return Gone("cannot be made");
  const int bytes = 4 * kMaxPacketBytes;
  for (int fd : fds) {
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  }
  return std::pair(Channel(UniqueFd(fds[0])), Channel(UniqueFd(fds[1])));
}

Status Channel::Send(const Message& message, int fd_to_pass) {
  std::string text = Encode(message);
  if (text.size() > kMaxPacketBytes) {
    return absl::ResourceExhaustedError(StrCat("a message of ", text.size(), " bytes, at most ", kMaxPacketBytes));
  }
  iovec part{text.data(), text.size()};
  msghdr packet{};
  packet.msg_iov = &part;
  packet.msg_iovlen = 1;
  ControlBuffer control{};
  if (fd_to_pass >= 0) {
    packet.msg_control = control.bytes;
    packet.msg_controllen = sizeof(control.bytes);
    cmsghdr* header = CMSG_FIRSTHDR(&packet);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd_to_pass, sizeof(int));
  }
  while (::sendmsg(socket_.get(), &packet, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) return Gone("cannot send");
    pollfd writable{socket_.get(), POLLOUT, 0};
    if (::poll(&writable, 1, kSendTimeoutMillis) <= 0) return absl::UnavailableError("the other end does not read");
  }
  return absl::OkStatus();
}

StatusOr<std::optional<Received>> Channel::Receive() {
  std::string buffer(kMaxPacketBytes, '\0');
  iovec part{buffer.data(), buffer.size()};
  msghdr packet{};
  packet.msg_iov = &part;
  packet.msg_iovlen = 1;
  ControlBuffer control{};
  packet.msg_control = control.bytes;
  packet.msg_controllen = sizeof(control.bytes);
  ssize_t got;
  do {
    got = ::recvmsg(socket_.get(), &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::nullopt;
  if (got < 0) return Gone("cannot receive");
  if (got == 0) return absl::UnavailableError("the other end is gone");
  UniqueFd fd = PassedFd(packet);
  ASSIGN_OR_RETURN(Message message, Decode({buffer.data(), static_cast<size_t>(got)}));
  return Received{std::move(message), std::move(fd)};
}

}  // namespace ft::rankhost
