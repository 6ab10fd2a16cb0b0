#include "client/daemons/launch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <thread>

#include "client/session/output.h"
#include "core/base/file.h"
#include "core/process/numeric_environment.h"

namespace ft::client {
namespace {

constexpr std::chrono::seconds kEndGrace{5};
constexpr std::chrono::milliseconds kLookAgain{2};

namespace fs = std::filesystem;

constexpr size_t kMaxOutputBytes = 1 << 20;
constexpr size_t kMaxLineBytes =
    64 << 10;  // The longest line of standard error that is held until its end has come.
constexpr int kPromptMilliseconds = 50;  // So long a line without an end is waited for.

// What exec takes: pointers into the strings, which must outlive it.
std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> WithProgram(const fs::path& program, const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {program.string()};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return all;
}

// Starts it with its standard error in the pipe and, unless it keeps the terminal, nothing to read and its output there too.
StatusOr<pid_t> Spawn(const fs::path& program, const std::vector<std::string>& arguments, int output,
                      bool keeps_terminal = false) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  if (!keeps_terminal) {
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  }
  ::posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  std::vector<std::string> all = WithProgram(program, arguments),
                           settings = process::EnvironmentWithNumericSettings();
  const std::vector<char*> pointers = Pointers(all), environment = Pointers(settings);
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, program.c_str(), &actions, nullptr, pointers.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return ErrnoStatus("start", program, error);
  return pid;
}

// Reads until the other end closes; false when the deadline comes first.
bool ReadUntil(int fd, std::chrono::steady_clock::time_point deadline, std::string& text) {
  char buffer[4096];
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) continue;
    const ssize_t got = ::read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return true;
    const size_t room = kMaxOutputBytes - std::min(kMaxOutputBytes, text.size());
    text.append(buffer, std::min(room, static_cast<size_t>(got)));
  }
}

// Passes lines on in the user's language until the other end closes. What waits without an end, such as a prompt, is passed on
// as it is.
void TellLines(const Session& session, int fd) {
  std::string text;
  char buffer[4096];
  while (true) {
    pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waiting, 1, text.empty() ? -1 : kPromptMilliseconds);
    if (ready < 0 && errno != EINTR) break;
    if (ready > 0) {
      const ssize_t got = ::read(fd, buffer, sizeof(buffer));
      if (got == 0 || (got < 0 && errno != EINTR)) break;
      if (got > 0) text.append(buffer, static_cast<size_t>(got));
      for (size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
        PrintNotice(session.InLanguage(std::string_view(text).substr(0, end)));
      }
    }
    if (ready == 0 || text.size() > kMaxLineBytes) {
      std::fwrite(text.data(), 1, text.size(), stderr);
      text.clear();
    }
  }
  std::fwrite(text.data(), 1, text.size(), stderr);
}

// Whether the child has ended by then.
bool Reap(pid_t pid, std::chrono::steady_clock::time_point deadline, int* wait_status) {
  while (true) {
    const pid_t reaped = ::waitpid(pid, wait_status, WNOHANG);
    if (reaped == pid || (reaped < 0 && errno != EINTR)) return true;
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kLookAgain);
  }
}

}  // namespace

StatusOr<fs::path> ProgramBeside(const Session& session, const std::string& name) {
  const fs::path program = session.program_dir / name;
  if (::access(program.c_str(), X_OK) == 0) return program;
  return absl::NotFoundError(StrCat("there is no program ", name, " in ", session.program_dir.string(),
                                    ": install ftctl, finetuned, ft-worker and ft-rank into one folder"));
}

Status BecomeRank(const Session& session, const std::vector<std::string>& arguments) {
  ASSIGN_OR_RETURN(const fs::path program, ProgramBeside(session, "ft-rank"));
  std::vector<std::string> all = WithProgram(program, arguments);
  const std::vector<char*> pointers = Pointers(all);
  process::SetNumericEnvironment();
  ::execv(program.c_str(), pointers.data());
  return ErrnoStatus("start", program, errno);
}

StatusOr<int> RunRank(const Session& session, const std::vector<std::string>& arguments) {
  if (session.terminal.language == Language::kEnglish) return BecomeRank(session, arguments);
  ASSIGN_OR_RETURN(const fs::path program, ProgramBeside(session, "ft-rank"));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus("make a pipe for", program, errno);
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  ASSIGN_OR_RETURN(const pid_t pid, Spawn(program, arguments, writing.get(), /*keeps_terminal=*/true));
  writing.Reset();
  // Ctrl-C is for the child, which got its own answer to it before this.
  ::signal(SIGINT, SIG_IGN);
  TellLines(session, reading.get());
  int wait_status = 0;
  while (::waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

StatusOr<Output> OutputOf(const fs::path& program, const std::vector<std::string>& arguments,
                          std::chrono::milliseconds timeout) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus("make a pipe for", program, errno);
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  ASSIGN_OR_RETURN(const pid_t pid, Spawn(program, arguments, writing.get()));
  writing.Reset();
  Output output;
  const bool ended = ReadUntil(reading.get(), std::chrono::steady_clock::now() + timeout, output.text);
  int wait_status = 0;
  // It may have closed its output and go on.
  const bool gone = ended && Reap(pid, std::chrono::steady_clock::now() + kEndGrace, &wait_status);
  if (!gone) {
    ::kill(pid, SIGKILL);
    Reap(pid, std::chrono::steady_clock::now() + kEndGrace, &wait_status);
  }
  if (!gone) {
    return absl::DeadlineExceededError(
        StrCat(program.string(), " did not end within ", timeout.count() / 1000, " seconds"));
  }
  output.exit_status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
  return output;
}

StatusOr<std::string> PassedFile(const std::string& text) {
  // Without CLOEXEC: the program that ftctl becomes finds it under its number.
  UniqueFd fd(::memfd_create("ftctl", 0));
  if (!fd.valid()) return ErrnoStatus("make", "a file in memory", errno);
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t written = ::write(fd.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus("write", "a file in memory", errno);
    rest.remove_prefix(static_cast<size_t>(written));
  }
  return StrCat("/proc/self/fd/", fd.Release());
}

}  // namespace ft::client
