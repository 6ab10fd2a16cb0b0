#include "worker/train/comm/shm.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <thread>

#include "core/base/check.h"
#include "core/base/file.h"

namespace ft::comm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kRetry = std::chrono::milliseconds(5);
constexpr auto kSlice = std::chrono::milliseconds(50);
constexpr uint32_t kMagic = 0x46544d31;  // "FTM1"
constexpr const char* kSocketName = "rank0.sock";

// What a rank says of itself, with its two descriptors beside it. Rank 0 answers with its own and everybody's
// descriptors.
struct Hello {
  uint32_t magic = kMagic;
  int32_t rank = 0;
  int32_t size = 0;
  uint64_t capacity = 0;
};

struct Member {
  UniqueFd memory;   // memfd of its segment.
  UniqueFd process;  // pidfd; readable once the process has ended.
};

size_t SegmentSize(size_t capacity) { return sizeof(SegmentHeader) + capacity; }

Status SocketStatus(std::string_view what) { return ErrnoStatus(what, "rendezvous", errno); }

int MillisLeft(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, kSlice.count()));
}

StatusOr<Member> MakeMember(size_t capacity) {
  Member member;
  member.memory = UniqueFd(::memfd_create("ft-rank", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!member.memory.valid()) return SocketStatus("create shared memory for");
  if (::ftruncate(member.memory.get(), static_cast<off_t>(SegmentSize(capacity))) != 0)
    return SocketStatus("size");
  // A segment that a peer could shrink would be a bus error in everybody else.
  if (::fcntl(member.memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return SocketStatus("seal");
  member.process = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!member.process.valid()) return SocketStatus("open a pidfd for");
  return member;
}

// The address of a socket in a folder whose path may be too long for one: through an open descriptor of the
// folder.
sockaddr_un AddressIn(const UniqueFd& folder) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = StrCat("/proc/self/fd/", folder.get(), "/", kSocketName);
  FT_CHECK(path.size() < sizeof(address.sun_path)) << path;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Status Send(int socket, const Hello& hello, const std::vector<int>& fds) {
  iovec part{const_cast<Hello*>(&hello), sizeof(hello)};
  std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)));
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
  std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  if (::sendmsg(socket, &message, MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof(hello))) {
    return absl::UnavailableError(StrCat("cannot reach a peer: ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

constexpr std::string_view kMeeting = "meeting";

// One message with exactly `count` descriptors. REQUIRES: something to read.
StatusOr<Hello> Receive(int socket, size_t count, std::vector<UniqueFd>& fds) {
  Hello hello;
  iovec part{&hello, sizeof(hello)};
  std::vector<char> control(CMSG_SPACE(2 * kMaxShmRanks * sizeof(int)));
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (got == 0) return absl::UnavailableError("the other end has gone before all met");
  if (got < 0) return absl::UnavailableError(StrCat("a peer broke off: ", std::strerror(errno)));
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t sent = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < sent; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
  if (got != static_cast<ssize_t>(sizeof(hello)) || hello.magic != kMagic || fds.size() != count) {
    return absl::InternalError("a message at the meeting that is none of ours");
  }
  return hello;
}

// `missing`: the rank that is awaited, -1 for any.
Status AwaitReadable(int fd, Clock::time_point deadline, const WaitFunction& waiting, int missing,
                     const std::function<std::string()>& late) {
  while (true) {
    pollfd entry{fd, POLLIN, 0};
    const int ready = ::poll(&entry, 1, MillisLeft(deadline));
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return SocketStatus("poll");
    if (Clock::now() >= deadline) return absl::DeadlineExceededError(late());
    if (waiting) waiting({.operation = kMeeting, .missing = missing});
  }
}

Status CheckMember(const Hello& hello, const ShmRendezvousOptions& rendezvous, const UniqueFd& memory) {
  struct stat info {};
  const bool sized = ::fstat(memory.get(), &info) == 0 &&
                     info.st_size == static_cast<off_t>(SegmentSize(rendezvous.capacity));
  if (hello.size == rendezvous.size && hello.capacity == rendezvous.capacity && sized)
    return absl::OkStatus();
  return absl::InternalError(StrCat("rank ", hello.rank, " expects ", hello.size, " ranks and segments of ",
                                    hello.capacity, " bytes, this rank ", rendezvous.size, " and ",
                                    rendezvous.capacity));
}

// Rank 0's side: takes every peer's hello, then sends all descriptors to each.
Status Listen(const UniqueFd& folder, const ShmRendezvousOptions& rendezvous, const CommOptions& options,
              std::vector<Member>& members) {
  const Clock::time_point deadline = Clock::now() + rendezvous.timeout;
  const UniqueFd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  const sockaddr_un address = AddressIn(folder);
  ::unlinkat(folder.get(), kSocketName, 0);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return SocketStatus("bind");
  if (::listen(listener.get(), rendezvous.size) != 0) return SocketStatus("listen on");
  std::vector<UniqueFd> sockets(members.size());
  int arrived = 0;
  const auto late = [&] {
    return StrCat("not all ranks met in time; ", arrived, " of ", rendezvous.size - 1, " peers arrived");
  };
  // The first that has not come stands for all who have not.
  const auto missing = [&] {
    const auto absent =
        std::find_if(sockets.begin() + 1, sockets.end(), [](const UniqueFd& fd) { return !fd.valid(); });
    return static_cast<int>(absent - sockets.begin());
  };
  while (arrived < rendezvous.size - 1) {
    RETURN_IF_ERROR(AwaitReadable(listener.get(), deadline, options.waiting, missing(), late));
    UniqueFd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket.valid()) return SocketStatus("accept a peer at");
    RETURN_IF_ERROR(AwaitReadable(socket.get(), deadline, options.waiting, missing(), late));
    std::vector<UniqueFd> fds;
    ASSIGN_OR_RETURN(const Hello hello, Receive(socket.get(), 2, fds));
    RETURN_IF_ERROR(CheckMember(hello, rendezvous, fds[0]));
    if (hello.rank < 1 || hello.rank >= rendezvous.size || sockets[static_cast<size_t>(hello.rank)].valid()) {
      return absl::InternalError(
          StrCat("a second rank ", hello.rank, " came to the meeting of ", rendezvous.size));
    }
    members[static_cast<size_t>(hello.rank)] = {std::move(fds[0]), std::move(fds[1])};
    sockets[static_cast<size_t>(hello.rank)] = std::move(socket);
    ++arrived;
  }
  std::vector<int> all;
  for (const Member& member : members) all.insert(all.end(), {member.memory.get(), member.process.get()});
  for (int peer = 1; peer < rendezvous.size; ++peer) {
    RETURN_IF_ERROR(Send(sockets[static_cast<size_t>(peer)].get(),
                         {.size = rendezvous.size, .capacity = rendezvous.capacity}, all));
  }
  return absl::OkStatus();
}

StatusOr<UniqueFd> ConnectToRank0(const UniqueFd& folder, Clock::time_point deadline,
                                  const CommOptions& options) {
  const sockaddr_un address = AddressIn(folder);
  while (true) {
    UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!socket.valid()) return SocketStatus("open a socket for");
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0)
      return socket;
    // Rank 0 may not be there yet, or what lies there is of an earlier group.
    if (errno != ENOENT && errno != ECONNREFUSED && errno != EAGAIN && errno != EINTR)
      return SocketStatus("connect to");
    if (Clock::now() >= deadline)
      return absl::DeadlineExceededError("rank 0 did not come to the meeting in time");
    if (options.waiting) options.waiting({.operation = kMeeting, .missing = 0});
    std::this_thread::sleep_for(kRetry);
  }
}

// The other ranks' side.
Status Connect(const UniqueFd& folder, const ShmRendezvousOptions& rendezvous, const CommOptions& options,
               std::vector<Member>& members) {
  const Clock::time_point deadline = Clock::now() + rendezvous.timeout;
  ASSIGN_OR_RETURN(const UniqueFd socket, ConnectToRank0(folder, deadline, options));
  const Member& own = members[static_cast<size_t>(rendezvous.rank)];
  const Hello hello{.rank = rendezvous.rank, .size = rendezvous.size, .capacity = rendezvous.capacity};
  RETURN_IF_ERROR(Send(socket.get(), hello, {own.memory.get(), own.process.get()}));
  RETURN_IF_ERROR(AwaitReadable(socket.get(), deadline, options.waiting, /*missing=*/-1,
                                [] { return std::string("not all ranks met in time"); }));
  std::vector<UniqueFd> fds;
  ASSIGN_OR_RETURN(const Hello answer, Receive(socket.get(), 2 * members.size(), fds));
  for (size_t peer = 0; peer < members.size(); ++peer) {
    RETURN_IF_ERROR(CheckMember(answer, rendezvous, fds[2 * peer]));
    members[peer] = {std::move(fds[2 * peer]), std::move(fds[2 * peer + 1])};
  }
  return absl::OkStatus();
}

// Everybody's segments mapped into this process; unmaps at the end.
class Mappings {
 public:
  explicit Mappings(size_t capacity) : bytes_(SegmentSize(capacity)) {}
  Mappings(const Mappings&) = delete;
  Mappings& operator=(const Mappings&) = delete;
  ~Mappings() {
    for (void* address : addresses_) ::munmap(address, bytes_);
  }
  StatusOr<Segment> Map(const UniqueFd& memory) {
    void* address = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
    if (address == MAP_FAILED) return SocketStatus("map shared memory of");
    addresses_.push_back(address);
    // A fresh memfd is all zero, which is what a header starts as.
    auto* header = std::launder(reinterpret_cast<SegmentHeader*>(address));
    return Segment{header, static_cast<std::byte*>(address) + sizeof(SegmentHeader)};
  }

 private:
  const size_t bytes_;
  std::vector<void*> addresses_;
};

bool HasEnded(const UniqueFd& process) {
  pollfd entry{process.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0;
}

}  // namespace

StatusOr<std::unique_ptr<Comm>> RendezvousShm(const ShmRendezvousOptions& rendezvous,
                                              const CommOptions& options) {
  FT_CHECK(rendezvous.size >= 2 && rendezvous.rank >= 0 && rendezvous.rank < rendezvous.size)
      << rendezvous.rank << " of " << rendezvous.size;
  if (rendezvous.size > kMaxShmRanks) {
    return absl::InvalidArgumentError(
        StrCat("parallel.transport: shm joins at most ", kMaxShmRanks, " ranks of a host"));
  }
  const UniqueFd folder(::open(rendezvous.folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return ErrnoStatus("open", rendezvous.folder, errno);
  std::vector<Member> members(static_cast<size_t>(rendezvous.size));
  ASSIGN_OR_RETURN(members[static_cast<size_t>(rendezvous.rank)], MakeMember(rendezvous.capacity));
  const Status met = rendezvous.rank == 0 ? Listen(folder, rendezvous, options, members)
                                          : Connect(folder, rendezvous, options, members);
  if (!met.ok())
    return WithContext(met, StrCat("rank ", rendezvous.rank, " of ", rendezvous.size, ": meeting over shm"));
  const auto mappings = std::make_shared<Mappings>(rendezvous.capacity);
  SharedSegments segments{.capacity = rendezvous.capacity, .memory = mappings, .name = "shm"};
  for (const Member& member : members) {
    ASSIGN_OR_RETURN(const Segment segment, mappings->Map(member.memory));
    segments.by_rank.push_back(segment);
  }
  const auto processes = std::make_shared<std::vector<Member>>(std::move(members));
  segments.alive = [processes](int rank) {
    return !HasEnded((*processes)[static_cast<size_t>(rank)].process);
  };
  return std::make_unique<SharedMemoryComm>(rendezvous.rank, std::move(segments), options);
}

}  // namespace ft::comm
