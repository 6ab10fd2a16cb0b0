#include "core/process/channel.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace ft::process {

Status SendMessage(int socket, const nlohmann::json& body, int fd) {
  const std::string text = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > kMaxMessageBytes)
    return absl::InvalidArgumentError(StrCat("message of ", text.size(), " bytes"));
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* message = CMSG_FIRSTHDR(&header);
    message->cmsg_level = SOL_SOCKET;
    message->cmsg_type = SCM_RIGHTS;
    message->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(message), &fd, sizeof(int));
  }
  if (::sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return absl::OkStatus();
  if (errno == EAGAIN || errno == EWOULDBLOCK)
    return absl::UnavailableError("the other end reads too slowly");
  return absl::InternalError(StrCat("send to the other end: ", std::strerror(errno)));
}

StatusOr<std::optional<Message>> ReceiveMessage(int socket) {
  std::string text(kMaxMessageBytes, '\0');
  iovec part{text.data(), text.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t got = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return std::optional<Message>();
  if (got <= 0) return absl::UnavailableError("the other end is closed");
  Message message;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(c), sizeof(int));
    message.fd = UniqueFd(fd);
  }
  text.resize(static_cast<size_t>(got));
  message.body = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!message.body.is_object()) return absl::InvalidArgumentError("a message is not a JSON object");
  return std::optional<Message>(std::move(message));
}

}  // namespace ft::process
