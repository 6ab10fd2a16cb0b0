#include "client/daemons/private_daemons.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <span>
#include <sstream>
#include <thread>

#include "client/daemons/launch.h"
#include "client/render/width.h"
#include "core/base/file.h"
#include "finetune/v1/nodes.grpc.pb.h"

extern char** environ;

namespace ft::client {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kCoordinatorTimeout{20};
constexpr std::chrono::seconds kWorkerTimeout{30};
// A worker that stops has its ranks checkpoint first, each at its next step.
constexpr std::chrono::seconds kStopTimeout{120};
constexpr std::chrono::seconds kHurry{5};
constexpr std::chrono::seconds kKillTimeout{5};
// The fewest files that a coordinator needs at once: fewer, and it would stand still without a word.
constexpr rlim_t kFewestFiles = 256;
constexpr std::chrono::milliseconds kPoll{50};

// Start time of a process in clock ticks since boot (field 22 of stat); empty when there is no such process or it is a
// zombie.
std::string StartTime(int pid) {
  const fs::path path = fs::path("/proc") / std::to_string(pid) / "stat";
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[1024];
  const ssize_t got = fd.valid() ? ::read(fd.get(), buffer, sizeof(buffer)) : -1;
  if (got <= 0) return std::string();
  // The second field is the program's name in brackets and may hold anything, so fields count from the last bracket.
  const std::string text(buffer, static_cast<size_t>(got));
  const size_t bracket = text.rfind(')');
  if (bracket == std::string::npos) return std::string();
  std::istringstream fields(text.substr(bracket + 1));
  std::string field;
  for (int number = 3; number <= 22 && fields >> field; ++number) {
    if (number == 3 && field == "Z") return std::string();
  }
  return field;
}

// Polls until `done` or the time is over; false then.
bool WaitUntil(std::chrono::milliseconds timeout, const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

// One ftctl at a time starts or stops; the lock ends with the descriptor.
StatusOr<UniqueFd> Lock(const fs::path& dir) {
  const fs::path path = dir / "up.lock";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return ErrnoStatus("open", path, errno);
  const bool locked = WaitUntil(kCoordinatorTimeout + kWorkerTimeout,
                                [&fd] { return ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0; });
  if (!locked) {
    return absl::UnavailableError(
        StrCat("another ftctl holds ", path.string(), ": try again when it is done"));
  }
  return fd;
}

// Starts a program in a session of its own with its output appended to the log.
StatusOr<int> StartDaemon(const Session& session, const DaemonFiles& files,
                          std::vector<std::string> arguments) {
  ASSIGN_OR_RETURN(const fs::path program, ProgramBeside(session, files.program));
  arguments.insert(arguments.begin(), program.string());
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, files.log.c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, program.c_str(), &actions, &attributes, pointers.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return ErrnoStatus("start", program, error);
  const Status noted = WriteFileDurably(files.pid_file, StrCat(pid, " ", StartTime(pid), "\n"));
  if (noted.ok()) return pid;
  // Nobody could find it again to stop it.
  ::kill(pid, SIGTERM);
  return noted;
}

// The last few kilobytes of a file, however long it is.
StatusOr<std::string> EndOf(const fs::path& path) {
  ASSIGN_OR_RETURN(const RandomAccessFile file, RandomAccessFile::Open(path));
  std::string text(std::min<uint64_t>(file.size(), 4096), '\0');
  RETURN_IF_ERROR(file.ReadAt(file.size() - text.size(), std::as_writable_bytes(std::span(text))));
  return text;
}

// The last line that a daemon wrote, for the message about its end.
std::string LastLine(const fs::path& log) {
  const StatusOr<std::string> text = EndOf(log);
  if (!text.ok()) return std::string();
  const size_t end = text->find_last_not_of('\n');
  if (end == std::string::npos) return std::string();
  const size_t newline = text->rfind('\n', end);
  const size_t begin = newline == std::string::npos ? 0 : newline + 1;
  return Printable(std::string_view(*text).substr(begin, std::min<size_t>(end + 1 - begin, 300)));
}

// A loopback address whose port nobody uses now; "0", which turns metrics off, when there is none.
std::string FreeAddress() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* name = reinterpret_cast<sockaddr*>(&address);
  if (!fd.valid() || ::bind(fd.get(), name, size) != 0 || ::getsockname(fd.get(), name, &size) != 0)
    return "0";
  return StrCat("127.0.0.1:", ntohs(address.sin_port));
}

bool CoordinatorAnswers(Session& session) {
  session.Disconnect();
  return session
      .Call(&v1::NodeService::Stub::GetServerInfo, v1::GetServerInfoRequest(), std::chrono::seconds(2))
      .ok();
}

// Whether a node takes work, or would but for a request of the user's; that one's name is put into `needs_uncordon`.
bool NodeIsUp(Session& session, std::string& needs_uncordon) {
  needs_uncordon.clear();
  const auto nodes =
      session.Call(&v1::NodeService::Stub::ListNodes, v1::ListNodesRequest(), std::chrono::seconds(2));
  if (!nodes.ok()) return false;
  for (const v1::Node& node : nodes->nodes()) {
    if (node.state() == v1::READY) {
      needs_uncordon.clear();
      return true;
    }
    if (node.needs_uncordon()) needs_uncordon = node.node_id();
  }
  return !needs_uncordon.empty();
}

Status Stop(const DaemonFiles& files, const StopOptions& options = {}) {
  const int pid = RunningPid(files);
  std::error_code error;
  if (pid == 0) {
    fs::remove(files.pid_file, error);
    return absl::NotFoundError(StrCat(files.program, " does not run"));
  }
  // A child of this very process stays a zombie until it is reaped; one of an earlier ftctl is init's.
  const auto has_ended = [&] {
    ::waitpid(pid, nullptr, WNOHANG);
    return RunningPid(files) == 0;
  };
  if (::kill(pid, SIGTERM) != 0 && errno != ESRCH) return ErrnoStatus("stop", files.program, errno);
  // A second signal is how a worker is told not to wait for what cannot be delivered.
  if (options.hurry && !WaitUntil(kHurry, has_ended)) ::kill(pid, SIGTERM);
  if (!WaitUntil(options.hurry ? kHurry : kStopTimeout, has_ended)) {
    ::kill(pid, SIGKILL);
    if (!WaitUntil(kKillTimeout, has_ended)) {
      return absl::InternalError(
          StrCat(files.program, " (process ", pid, ") does not end; its log is ", files.log.string()));
    }
  }
  fs::remove(files.pid_file, error);
  return absl::OkStatus();
}

// There while the daemons that run were started by a `run`.
fs::path MarkOf(const Session& session) { return session.data_dir / "ends-with-run"; }

Status CheckFileLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kFewestFiles) return absl::OkStatus();
  return absl::FailedPreconditionError(
      StrCat("only ", static_cast<uint64_t>(limit.rlim_cur),
             " files may be open at once here (ulimit -n), and the coordinator needs ",
             static_cast<uint64_t>(kFewestFiles), ": raise the limit"));
}

struct DaemonSpec {
  const DaemonFiles& files;
  std::vector<std::string> arguments;
  std::chrono::seconds timeout;
  std::function<bool()> is_ready;
};

// Starts one program unless it runs, and waits until it is ready.
StatusOr<bool> EnsureRunning(const Session& session, const DaemonSpec& spec) {
  if (spec.is_ready()) return false;
  int pid = RunningPid(spec.files);
  const bool starts = pid == 0;
  if (starts) {
    ASSIGN_OR_RETURN(pid, StartDaemon(session, spec.files, spec.arguments));
  }
  bool ended = false;
  const bool ready = WaitUntil(spec.timeout, [&] {
    ended = ::waitpid(pid, nullptr, WNOHANG) == pid || RunningPid(spec.files) == 0;
    return ended || spec.is_ready();
  });
  if (ready && !ended) return starts;
  const std::string last = LastLine(spec.files.log);
  if (starts) Stop(spec.files).IgnoreError();
  std::string message =
      session.Localized(Text::kNotStarted, spec.files.program, spec.timeout.count(), spec.files.log.string());
  if (ended)
    message = StrCat(spec.files.program, " ended at its start; its log is ", spec.files.log.string());
  if (!last.empty()) StrAppend(&message, ": ", last);
  return absl::UnavailableError(message);
}

}  // namespace

PrivateLayout::PrivateLayout(const fs::path& data_dir)
    : dir(data_dir),
      socket(data_dir / "finetuned.sock"),
      worker_socket(data_dir / "worker.sock"),
      coordinator{"finetuned", data_dir / "finetuned.pid", data_dir / "finetuned.log"},
      worker{"ft-worker", data_dir / "ft-worker.pid", data_dir / "ft-worker.log"} {}

std::vector<std::string> CoordinatorArguments(const PrivateLayout& layout, const std::string& metrics) {
  return {"--data", layout.dir.string(), "--metrics", metrics};
}

std::vector<std::string> WorkerArguments(const PrivateLayout& layout, const std::string& metrics) {
  return {"--data",        (layout.dir / "worker").string(),
          "--coordinator", StrCat("unix:", layout.worker_socket.string()),
          "--metrics",     metrics};
}

int RunningPid(const DaemonFiles& files) {
  const StatusOr<std::string> text = ReadFile(files.pid_file, 256);
  if (!text.ok()) return 0;
  std::istringstream fields(*text);
  int pid = 0;
  std::string start_time;
  if (!(fields >> pid >> start_time) || pid <= 1) return 0;
  return StartTime(pid) == start_time ? pid : 0;
}

StatusOr<Started> StartPrivateDaemons(Session& session, MetricsAddresses metrics) {
  const PrivateLayout layout(session.data_dir);
  session.server.clear();
  RETURN_IF_ERROR(session.ServerAddress().status());
  RETURN_IF_ERROR(CheckFileLimit());
  for (const fs::path& dir : {layout.dir, layout.dir / "worker"}) {
    RETURN_IF_ERROR(MakeDirectories(dir));
    if (::chmod(dir.c_str(), 0700) != 0) return ErrnoStatus("protect", dir, errno);
  }
  ASSIGN_OR_RETURN(const UniqueFd lock, Lock(layout.dir));
  if (metrics.coordinator.empty()) metrics.coordinator = FreeAddress();
  if (metrics.worker.empty()) metrics.worker = FreeAddress();
  Started started{.metrics = metrics};
  ASSIGN_OR_RETURN(started.coordinator,
                   EnsureRunning(session, {.files = layout.coordinator,
                                           .arguments = CoordinatorArguments(layout, metrics.coordinator),
                                           .timeout = kCoordinatorTimeout,
                                           .is_ready = [&] { return CoordinatorAnswers(session); }}));
  // A node that an earlier worker left in the coordinator's list counts only while a worker runs.
  const auto worker_ready = [&] {
    return RunningPid(layout.worker) != 0 && NodeIsUp(session, started.needs_uncordon);
  };
  const StatusOr<bool> worker = EnsureRunning(session, {.files = layout.worker,
                                                        .arguments = WorkerArguments(layout, metrics.worker),
                                                        .timeout = kWorkerTimeout,
                                                        .is_ready = worker_ready});
  if (!worker.ok() && started.coordinator) Stop(layout.coordinator).IgnoreError();
  if (!worker.ok()) return worker.status();
  started.worker = *worker;
  return started;
}

StatusOr<std::vector<std::string>> StopPrivateDaemons(Session& session, const StopOptions& options) {
  const PrivateLayout layout(session.data_dir);
  std::vector<std::string> stopped;
  std::error_code error;
  if (!fs::exists(layout.dir, error)) return stopped;
  ASSIGN_OR_RETURN(const UniqueFd lock, Lock(layout.dir));
  session.Disconnect();
  for (const DaemonFiles* files : {&layout.worker, &layout.coordinator}) {
    const Status status = Stop(*files, options);
    if (status.ok()) stopped.push_back(files->program);
    if (!status.ok() && !absl::IsNotFound(status)) return status;
  }
  return stopped;
}

StatusOr<DaemonUse> DaemonUse::Begin(const Session& session) {
  RETURN_IF_ERROR(MakeDirectories(session.data_dir));
  const fs::path path = session.data_dir / "run.lock";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return ErrnoStatus("open", path, errno);
  const bool locked =
      WaitUntil(kStopTimeout + kStopTimeout, [&fd] { return ::flock(fd.get(), LOCK_SH | LOCK_NB) == 0; });
  if (!locked)
    return absl::UnavailableError("another ftctl still stops the private coordinator: try again in a moment");
  return DaemonUse(std::move(fd));
}

Status DaemonUse::Started(const Session& session, const client::Started& started) {
  return started.any() ? WriteFileDurably(MarkOf(session), "") : absl::OkStatus();
}

DaemonUse::Ending DaemonUse::End(const Session& session) {
  std::error_code error;
  if (!fs::exists(MarkOf(session), error)) return Ending::kKept;
  return ::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0 ? Ending::kLast : Ending::kInUse;
}

void KeepPrivateDaemons(const Session& session) {
  std::error_code error;
  fs::remove(MarkOf(session), error);
}

}  // namespace ft::client
