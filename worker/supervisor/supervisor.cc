#include "worker/supervisor/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "core/base/sha256.h"

namespace ft::supervisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

StatusOr<std::string> RandomId() {
  std::string bytes(32, '\0');
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return absl::InternalError("the kernel gives no random bytes");
  }
  return Hex(Sha256Of(bytes)).substr(0, 32);
}

void Log(std::string_view text) { std::fprintf(stderr, "supervisor: %.*s\n", static_cast<int>(text.size()), text.data()); }

}  // namespace

StatusOr<std::unique_ptr<Supervisor>> Supervisor::Create(SupervisorOptions options) {
  std::unique_ptr<Supervisor> supervisor(new Supervisor(std::move(options)));
  RETURN_IF_ERROR(supervisor->Lock());
  ASSIGN_OR_RETURN(supervisor->boot_id_, BootId());
  ASSIGN_OR_RETURN(supervisor->incarnation_, RandomId());
  RETURN_IF_ERROR(supervisor->LoadStates());
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  return supervisor;
}

Supervisor::~Supervisor() = default;

Status Supervisor::Lock() {
  RETURN_IF_ERROR(MakeDirectories(options_.state_dir));
  const std::filesystem::path path = options_.state_dir / "supervisor.lock";
  lock_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!lock_.valid()) return ErrnoStatus("open", path, errno);
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      StrCat("another worker uses ", options_.state_dir.string(), ": stop it, or give this one another --data folder"));
}

Status Supervisor::LoadStates() {
  ASSIGN_OR_RETURN(const std::vector<RankState> states, store_.LoadAll());
  for (RankState state : states) {
    if (!state.exited) {
      // Its supervisor is gone, and with it the rank; make sure, unless the pid has been given to somebody else.
      const StatusOr<uint64_t> start = StartTime(state.pid);
      if (state.boot_id == boot_id_ && start.ok() && *start == state.start_time) ::kill(-state.pid, SIGKILL);
      state.exited = true;
      state.wait_status = SIGKILL;
      RETURN_IF_ERROR(store_.Save(state));
    }
    ranks_[state.key].state = state;
  }
  return absl::OkStatus();
}

Status Supervisor::SetUpLoop() {
  sigset_t mask;
  sigemptyset(&mask);
  for (int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&mask, signal);
  if (::sigprocmask(SIG_BLOCK, &mask, nullptr) != 0) return absl::InternalError("cannot block signals");
  signals_ = UniqueFd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!signals_.valid() || !epoll_.valid()) return absl::InternalError("cannot make the event loop");
  Watch(signals_.get());
  return absl::OkStatus();
}

void Supervisor::Watch(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

Status Supervisor::Run() {
  RETURN_IF_ERROR(SetUpLoop());
  bool stop = false;
  while (!stop) {
    if (channel_ == nullptr && steady_clock::now() >= next_agent_start_) StartAgent();
    epoll_event events[16];
    const int count = ::epoll_wait(epoll_.get(), events, 16, MillisToAgentStart());
    for (int i = 0; i < count && !stop; ++i) {
      const int fd = events[i].data.fd;
      if (fd == signals_.get()) {
        RETURN_IF_ERROR(OnSignal(stop));
      } else {
        RETURN_IF_ERROR(OnEvent(fd));
      }
    }
  }
  StopAll();
  return absl::OkStatus();
}

Status Supervisor::OnSignal(bool& stop) {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    if (info.ssi_signo != SIGCHLD) stop = true;
  }
  ReapOrphans();
  return absl::OkStatus();
}

Status Supervisor::OnEvent(int fd) {
  if (const auto rank = by_pidfd_.find(fd); rank != by_pidfd_.end()) {
    Reap(rankhost::RankKey(rank->second));
  } else if (fd == agent_.pidfd.get()) {
    OnAgentDeath();
  } else if (channel_ != nullptr && fd == channel_->fd()) {
    ReadRequests();
  }
  return absl::OkStatus();
}

int Supervisor::MillisToAgentStart() const {
  if (channel_ != nullptr) return 1000;
  const auto left = std::chrono::duration_cast<milliseconds>(next_agent_start_ - steady_clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left + 1, 0, 1000));
}

void Supervisor::StartAgent() {
  next_agent_start_ = steady_clock::now() + std::max(backoff_, options_.restart_min);
  auto pair = rankhost::Channel::Pair();
  if (!pair.ok()) return Log(Message(pair.status()));
  StatusOr<Spawned> spawned = Spawn({.argv = options_.agent_argv, .fd3 = pair->second.fd()});
  if (!spawned.ok()) return Log(Message(spawned.status()));
  agent_ = *std::move(spawned);
  agent_started_ = steady_clock::now();
  channel_ = std::make_unique<rankhost::Channel>(std::move(pair->first));
  Watch(channel_->fd());
  Watch(agent_.pidfd.get());
  Greet();
}

void Supervisor::Greet() {
  rankhost::Inventory inventory{incarnation_, boot_id_, {}};
  for (const auto& [key, rank] : ranks_) {
    inventory.ranks.push_back({key, rank.state.pid, rank.state.exited, rank.state.wait_status});
  }
  Tell(inventory);
  for (const auto& [key, rank] : ranks_) {
    if (!rank.state.exited) Tell(rankhost::ControlSocket{key}, rank.control.get());
  }
}

void Supervisor::OnAgentDeath() {
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(agent_.pid), &info, WEXITED | WNOHANG);
  Log(StrCat("the agent ended with status ", info.si_status, "; its ranks go on"));
  channel_.reset();
  agent_ = {};
  const auto now = steady_clock::now();
  backoff_ = now - agent_started_ > options_.restart_max
                 ? options_.restart_min
                 : std::min(options_.restart_max, std::max(options_.restart_min, backoff_ * 2));
  next_agent_start_ = now + backoff_;
}

void Supervisor::ReadRequests() {
  while (channel_ != nullptr) {
    StatusOr<std::optional<rankhost::Received>> received = channel_->Receive();
    if (!received.ok()) {
      // The agent closed its end or speaks nonsense: it is of no use any more, its death is noticed by its pidfd.
      Log(Message(received.status()));
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, channel_->fd(), nullptr);
      if (agent_.pid > 0) ::kill(agent_.pid, SIGKILL);
      return;
    }
    if (!received->has_value()) return;
    std::visit(
        [this](const auto& message) {
          if constexpr (requires { Handle(message); }) Handle(message);
        },
        (*received)->message);
  }
}

void Supervisor::Handle(const rankhost::Start& start) {
  if (const auto known = ranks_.find(start.key); known != ranks_.end()) {
    const Rank& rank = known->second;
    if (rank.state.exited) return Tell(rankhost::Exited{start.key, rank.state.wait_status});
    return Tell(rankhost::Started{start.key, rank.state.pid}, rank.control.get());
  }
  if (const Status status = Launch(start); !status.ok()) {
    ranks_.erase(start.key);
    Tell(rankhost::StartFailed{start.key, std::string(Message(status))});
  }
}

Status Supervisor::Launch(const rankhost::Start& start) {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return absl::InternalError("no control socket");
  UniqueFd ours(fds[0]), theirs(fds[1]);
  ASSIGN_OR_RETURN(Spawned spawned, Spawn({.argv = start.argv, .cwd = start.cwd, .stdout_path = start.stdout_path,
                                           .stderr_path = start.stderr_path, .fd3 = theirs.get()}));
  Rank& rank = ranks_[start.key];
  rank.state = {start.key, spawned.pid, boot_id_, StartTime(spawned.pid).value_or(0)};
  rank.pidfd = std::move(spawned.pidfd);
  rank.control = std::move(ours);
  if (const Status saved = store_.Save(rank.state); !saved.ok()) {
    ::kill(-spawned.pid, SIGKILL);
    ::waitpid(spawned.pid, nullptr, 0);
    return saved;
  }
  by_pidfd_[rank.pidfd.get()] = start.key;
  Watch(rank.pidfd.get());
  Tell(rankhost::Started{start.key, rank.state.pid}, rank.control.get());
  return absl::OkStatus();
}

void Supervisor::Handle(const rankhost::Signal& signal) {
  const auto rank = ranks_.find(signal.key);
  if (rank != ranks_.end() && !rank->second.state.exited) ::kill(-rank->second.state.pid, signal.signal);
}

void Supervisor::Handle(const rankhost::Forget& forget) {
  const auto rank = ranks_.find(forget.key);
  if (rank == ranks_.end() || !rank->second.state.exited) return;
  if (const Status status = store_.Remove(forget.key); !status.ok()) return Log(Message(status));
  ranks_.erase(rank);
}

void Supervisor::Tell(const rankhost::Message& message, int fd) {
  if (channel_ == nullptr) return;  // The next agent learns it from the inventory.
  if (const Status status = channel_->Send(message, fd); !status.ok()) {
    Log(Message(status));
    if (agent_.pid > 0) ::kill(agent_.pid, SIGKILL);
  }
}

void Supervisor::Reap(const rankhost::RankKey& key) {
  Rank& rank = ranks_.at(key);
  // Looked at, written down, and only then reaped: a supervisor that dies in between leaves a zombie to its own reaper,
  // and the state file says how it ended.
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(rank.state.pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
  rank.state.exited = true;
  rank.state.wait_status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
  if (const Status status = store_.Save(rank.state); !status.ok()) Log(Message(status));
  ::kill(-rank.state.pid, SIGKILL);  // What it forked into its group.
  ::waitpid(rank.state.pid, nullptr, WNOHANG);
  by_pidfd_.erase(rank.pidfd.get());
  rank.pidfd.Reset();
  rank.control.Reset();
  Tell(rankhost::Exited{key, rank.state.wait_status});
}

void Supervisor::ReapOrphans() {
  // Whatever has ended: ranks and the agent in their own ways, and processes that ranks left to this subreaper.
  while (true) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    if (info.si_pid == agent_.pid) {
      OnAgentDeath();
    } else if (const auto key = KeyOfLive(info.si_pid)) {
      Reap(*key);
    } else {
      ::waitpid(info.si_pid, nullptr, WNOHANG);
    }
  }
}

std::optional<rankhost::RankKey> Supervisor::KeyOfLive(pid_t pid) const {
  for (const auto& [fd, key] : by_pidfd_) {
    if (ranks_.at(key).state.pid == pid) return key;
  }
  return std::nullopt;
}

void Supervisor::StopAll() {
  const auto deadline = steady_clock::now() + options_.stop_grace;
  if (agent_.pid > 0) ::kill(agent_.pid, SIGTERM);
  for (const auto& [key, rank] : ranks_) {
    if (!rank.state.exited) ::kill(-rank.state.pid, SIGTERM);
  }
  bool killed = false;
  while (agent_.pid > 0 || !by_pidfd_.empty()) {
    if (!killed && steady_clock::now() >= deadline) {
      killed = true;
      if (agent_.pid > 0) ::kill(agent_.pid, SIGKILL);
      for (const auto& [fd, key] : by_pidfd_) ::kill(-ranks_.at(key).state.pid, SIGKILL);
    }
    epoll_event events[16];
    const int count = ::epoll_wait(epoll_.get(), events, 16, 50);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (const auto rank = by_pidfd_.find(fd); rank != by_pidfd_.end()) Reap(rankhost::RankKey(rank->second));
      else if (fd == agent_.pidfd.get()) OnAgentDeath();
    }
  }
}

}  // namespace ft::supervisor
