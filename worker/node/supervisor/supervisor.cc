#include "worker/node/supervisor/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/base/sha256.h"

extern char** environ;

namespace ft::supervisor {
namespace {

using process::BootId;
using process::KeyFromJson;
using process::ReceiveMessage;
using process::SendMessage;
using process::StartTicks;

constexpr int kChildChannel = 3;
constexpr int64_t kFirstBackoffMs = 100;
constexpr int64_t kStopGraceMs = 5'000;

int64_t NowMs() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> Environment(const nlohmann::json& extra) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!extra.is_object() || !extra.contains(text.substr(0, text.find('=')))) all.push_back(text);
  }
  if (extra.is_object()) {
    for (const auto& [name, value] : extra.items()) {
      if (value.is_string()) all.push_back(name + "=" + value.get<std::string>());
    }
  }
  return all;
}

// What a child starts with: own process group, no blocked signals, default handlers, descriptor 3.
struct SpawnPlan {
  std::vector<std::string> argv;
  std::vector<std::string> env;
  std::string cwd;
  std::string stdout_path;  // Empty = ours.
  std::string stderr_path;
  int channel = -1;  // Becomes descriptor 3.
};

// Opens `path` as descriptor `target`.
bool OpenAs(int target, const char* path, int flags) {
  const int fd = ::open(path, flags, 0644);
  if (fd < 0) return false;
  const bool done = fd == target || ::dup2(fd, target) == target;
  if (fd != target) ::close(fd);
  return done;
}

// In the child, between fork and exec. Returns only when something failed, with errno set.
void BecomeProgram(const SpawnPlan& plan, pid_t parent, char* const* argv, char* const* env) {
  // Here and not in the program: while it loads its libraries its parent may be gone already, and nobody
  // would tell it. The setting outlives exec.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  ::setpgid(0, 0);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND;
  if (!OpenAs(0, "/dev/null", O_RDONLY)) return;
  if (!plan.stdout_path.empty() && !OpenAs(1, plan.stdout_path.c_str(), kFlags)) return;
  if (!plan.stderr_path.empty() && !OpenAs(2, plan.stderr_path.c_str(), kFlags)) return;
  // dup2 onto itself would leave close-on-exec set.
  if (plan.channel == kChildChannel) {
    ::fcntl(kChildChannel, F_SETFD, 0);
  } else if (::dup2(plan.channel, kChildChannel) < 0) {
    return;
  }
  if (!plan.cwd.empty() && ::chdir(plan.cwd.c_str()) != 0) return;
  ::execve(argv[0], argv, env);
}

// fork is safe here: this process has one thread. Returns once the program runs or could not be started.
StatusOr<pid_t> SpawnProcess(SpawnPlan plan) {
  const std::vector<char*> argv = Pointers(plan.argv), env = Pointers(plan.env);
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return absl::InternalError(StrCat("pipe: ", std::strerror(errno)));
  const UniqueFd told(fds[0]);
  UniqueFd tells(::fcntl(fds[1], F_DUPFD_CLOEXEC, kChildChannel + 1));
  ::close(fds[1]);
  const pid_t parent = ::getpid(), pid = ::fork();
  if (pid < 0) return absl::InternalError(StrCat("fork: ", std::strerror(errno)));
  if (pid == 0) {
    BecomeProgram(plan, parent, argv.data(), env.data());
    const int error = errno;
    const ssize_t ignored = ::write(tells.get(), &error, sizeof(error));
    ::_exit(ignored > 0 ? 127 : 126);
  }
  tells.Reset();
  int error = 0;
  ssize_t got;
  do {
    got = ::read(told.get(), &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  if (got != sizeof(error)) return pid;
  ::waitpid(pid, nullptr, 0);
  return absl::InternalError(StrCat("cannot start ", plan.argv.front(), ": ", std::strerror(error)));
}

struct Pair {
  UniqueFd ours, theirs;
};

StatusOr<Pair> MakePair(int type) {
  int fds[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) != 0) {
    return absl::InternalError(StrCat("socketpair: ", std::strerror(errno)));
  }
  return Pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

}  // namespace

Status Supervisor::Prepare() {
  RETURN_IF_ERROR(MakeDirectories(options_.data_dir));
  const std::filesystem::path lock_path = options_.data_dir / "worker.lock";
  lock_ = UniqueFd(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_.valid()) return ErrnoStatus("open", lock_path, errno);
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        StrCat("data folder ", options_.data_dir.string(),
               " is in use by another worker: stop it or choose another folder with "
               "--data"));
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ASSIGN_OR_RETURN(table_, RankTable::Open(options_.data_dir / "supervisor"));
  boot_id_ = BootId();
  incarnation_ =
      Hex(Sha256Of(StrCat(boot_id_, " ", ::getpid(), " ", StartTicks(::getpid()).value_or(0), " ", NowMs())))
          .substr(0, 32);
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&set, signal);
  signals_ = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  return signals_.valid() ? absl::OkStatus() : absl::InternalError("signalfd failed");
}

Status Supervisor::Run() {
  RETURN_IF_ERROR(Prepare());
  StartAgent();
  while (!stopping_) {
    pollfd fds[2] = {{signals_.get(), POLLIN, 0}, {agent_.get(), POLLIN, 0}};
    const int count = agent_.valid() ? 2 : 1;
    ::poll(fds, static_cast<nfds_t>(count), WaitMs());
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      if (info.ssi_signo != SIGCHLD) OnStopSignal();
    }
    Reap();
    table_.SaveAgain();
    if (agent_.valid()) ReadAgent();
    EnforceLease();
    if (drain_until_ms_ != 0 && NowMs() >= drain_until_ms_) stopping_ = true;
    if (agent_restart_ms_ != 0 && NowMs() >= agent_restart_ms_ && !stopping_) StartAgent();
  }
  StopAll();
  return absl::OkStatus();
}

int Supervisor::WaitMs() const {
  const int64_t now = NowMs();
  int64_t until = now + 1000;
  if (agent_restart_ms_ != 0) until = std::min(until, agent_restart_ms_);
  if (drain_until_ms_ != 0) until = std::min(until, drain_until_ms_);
  if (lease_until_ms_ > now) until = std::min(until, lease_until_ms_);
  return static_cast<int>(std::max<int64_t>(until - now, 0));
}

void Supervisor::OnStopSignal() {
  if (drain_until_ms_ != 0 || table_.ranks().empty()) {
    stopping_ = true;
    return;
  }
  drain_until_ms_ = NowMs() + options_.stop_grace_ms;
  Send({{"op", "drain"}, {"grace_ms", options_.stop_grace_ms}});
}

void Supervisor::EnforceLease() {
  if (lease_until_ms_ == 0 || NowMs() < lease_until_ms_) return;
  for (auto& [key, rank] : table_.ranks()) {
    if (!rank.strict || rank.wait_status || !rank.end_reason.empty()) continue;
    rank.end_reason = "the node's lease ran out and the job is strict_exclusive";
    ::kill(-rank.pid, SIGKILL);
  }
}

void Supervisor::StartAgent() {
  agent_restart_ms_ = 0;
  agent_started_ms_ = NowMs();
  auto pair = MakePair(SOCK_SEQPACKET);
  if (!pair.ok()) {
    agent_restart_ms_ = NowMs() + options_.max_backoff_ms;
    return;
  }
  const int size = 4 << 20;
  ::setsockopt(pair->ours.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
  SpawnPlan plan;
  plan.argv = options_.agent_argv;
  plan.env = Environment({});
  plan.channel = pair->theirs.get();
  auto pid = SpawnProcess(std::move(plan));
  if (!pid.ok()) {
    std::fprintf(stderr, "ft-worker: %s\n", std::string(ft::Message(pid.status())).c_str());
    agent_restart_ms_ = NowMs() + options_.max_backoff_ms;
    return;
  }
  agent_pid_ = *pid;
  agent_ = std::move(pair->ours);
  Introduce();
}

void Supervisor::Introduce() {
  Send({{"op", "hello"}, {"incarnation", incarnation_}, {"boot_id", boot_id_}});
  for (const auto& [key, rank] : table_.ranks()) {
    nlohmann::json body = ToJson(rank);
    body["op"] = "rank";
    body["new"] = false;
    Send(body, rank.control.get());
  }
  Send({{"op", "ready"}});
  if (drain_until_ms_ != 0)
    Send({{"op", "drain"}, {"grace_ms", std::max<int64_t>(drain_until_ms_ - NowMs(), 0)}});
}

void Supervisor::OnAgentGone() {
  agent_.Reset();
  agent_pid_ = 0;
  const bool lived = NowMs() - agent_started_ms_ > options_.max_backoff_ms;
  const int64_t wait = lived ? kFirstBackoffMs : std::max(agent_backoff_ms_, kFirstBackoffMs);
  agent_restart_ms_ = NowMs() + std::min(wait, options_.max_backoff_ms);
  agent_backoff_ms_ = std::min(wait * 2, options_.max_backoff_ms);
}

void Supervisor::Send(const nlohmann::json& body, int fd) {
  if (!agent_.valid()) return;
  if (SendMessage(agent_.get(), body, fd).ok()) return;
  // It does not read: a new one will, and is told everything from the start.
  if (agent_pid_ > 0) ::kill(agent_pid_, SIGKILL);
}

void Supervisor::Reap() {
  while (true) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    OnExit(info.si_pid);
  }
}

void Supervisor::OnExit(pid_t pid) {
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT);
  const int wait_status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
  for (auto& [key, rank] : table_.ranks()) {
    if (rank.pid != pid || rank.wait_status) continue;
    // What the rank left behind in its group goes with it.
    ::kill(-pid, SIGKILL);
    const Status saved = table_.RecordExit(key, wait_status);
    if (!saved.ok()) std::fprintf(stderr, "ft-worker: %s\n", std::string(ft::Message(saved)).c_str());
    nlohmann::json body = ToJson(key);
    body["op"] = "exited";
    body["wait_status"] = wait_status;
    body["end_reason"] = rank.end_reason;
    Send(body);
    break;
  }
  ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG);
  if (pid == agent_pid_) OnAgentGone();
}

void Supervisor::ReadAgent() {
  while (agent_.valid()) {
    auto message = ReceiveMessage(agent_.get());
    if (!message.ok()) {
      if (agent_pid_ > 0) ::kill(agent_pid_, SIGKILL);
      agent_.Reset();
      return;
    }
    if (!message->has_value()) return;
    try {
      Handle((*message)->body);
    } catch (const nlohmann::json::exception&
                 error) {  // A field of a wrong type: this agent is not ours to follow.
      std::fprintf(stderr, "ft-worker: the agent sent what cannot be read: %s\n", error.what());
    }
  }
}

void Supervisor::Handle(const nlohmann::json& request) {
  const std::string op = request.value("op", "");
  const RankKey key = KeyFromJson(request);
  if (op == "start") {
    StartRank(request);
  } else if (op == "signal") {
    const RankProcess* rank = table_.Find(key);
    if (rank != nullptr && !rank->wait_status) ::kill(-rank->pid, request.value("signal", SIGTERM));
  } else if (op == "lease") {
    lease_until_ms_ = request.value("until_ms", int64_t{0});
  } else if (op == "drained") {
    stopping_ = stopping_ || drain_until_ms_ != 0;
  } else if (op == "forget") {
    const Status forgotten = table_.Forget(key);
    if (!forgotten.ok()) std::fprintf(stderr, "ft-worker: %s\n", std::string(ft::Message(forgotten)).c_str());
  }
}

void Supervisor::StartRank(const nlohmann::json& request) {
  const RankKey key = KeyFromJson(request);
  if (table_.Find(key) != nullptr) return;  // Asked twice: it is there already.
  auto rank = Spawn(request);
  Status status = rank.status();
  if (rank.ok()) {
    nlohmann::json body = ToJson(*rank);
    const pid_t pid = rank->pid;
    const int control = ::fcntl(rank->control.get(), F_DUPFD_CLOEXEC, 0);
    const UniqueFd handed(control);
    status = table_.Add(*std::move(rank));
    if (status.ok()) {
      body["op"] = "rank";
      body["new"] = true;
      Send(body, handed.get());
      return;
    }
    ::kill(-pid, SIGKILL);  // Without its state on disk it would be lost at the next restart.
  }
  nlohmann::json body = ToJson(key);
  body["op"] = "failed";
  body["message"] = std::string(ft::Message(status));
  body["failure_class"] = absl::IsResourceExhausted(status) ? "CHECKPOINT_IO" : "";
  Send(body);
}

StatusOr<RankProcess> Supervisor::Spawn(const nlohmann::json& request) {
  ASSIGN_OR_RETURN(Pair pair, MakePair(SOCK_STREAM));
  SpawnPlan plan;
  if (request.contains("argv") && request["argv"].is_array()) {
    for (const auto& argument : request["argv"]) {
      if (argument.is_string()) plan.argv.push_back(argument.get<std::string>());
    }
  }
  if (plan.argv.empty()) return absl::InvalidArgumentError("no program to start");
  plan.env = Environment(request.value("env", nlohmann::json::object()));
  plan.cwd = request.value("cwd", "");
  plan.stdout_path = request.value("stdout", "");
  plan.stderr_path = request.value("stderr", "");
  plan.channel = pair.theirs.get();
  RankProcess rank;
  rank.key = KeyFromJson(request);
  rank.kind = request.value("kind", "");
  rank.strict = request.value("strict", false);
  ASSIGN_OR_RETURN(rank.pid, SpawnProcess(std::move(plan)));
  rank.pidfd = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, rank.pid, 0)));
  rank.boot_id = boot_id_;
  rank.start_ticks = StartTicks(rank.pid).value_or(0);
  rank.control = std::move(pair.ours);
  return rank;
}

void Supervisor::StopAll() {
  const auto signal_all = [&](int signal) {
    bool any = false;
    for (const auto& [key, rank] : table_.ranks()) {
      if (rank.wait_status) continue;
      ::kill(-rank.pid, signal);
      any = true;
    }
    if (agent_pid_ > 0) {
      ::kill(agent_pid_, signal);
      any = true;
    }
    return any;
  };
  const int64_t deadline = NowMs() + kStopGraceMs;
  signal_all(SIGTERM);
  while (NowMs() < deadline) {
    Reap();
    const bool running =
        agent_pid_ > 0 || std::any_of(table_.ranks().begin(), table_.ranks().end(),
                                      [](const auto& item) { return !item.second.wait_status; });
    if (!running) return;
    pollfd fd{signals_.get(), POLLIN, 0};
    ::poll(&fd, 1, 50);
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    }
  }
  signal_all(SIGKILL);
  ::usleep(100'000);
  Reap();
}

}  // namespace ft::supervisor
