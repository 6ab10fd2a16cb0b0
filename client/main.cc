// ftctl: reads the environment and the arguments, runs one verb, turns its outcome into an exit status.
#include <pwd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "client/commands/parser.h"
#include "client/render/width.h"
#include "client/session/output.h"
#include "client/session/session.h"

namespace ft::client {
namespace {

namespace fs = std::filesystem;

constexpr rlim_t kWantedFiles = 1024;

std::string_view Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

int TerminalColumns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 80;
}

fs::path UserDataDir() {
  const std::string_view given = Variable("XDG_DATA_HOME");
  if (!given.empty()) return fs::path(given) / "finetuned";
  std::string home(Variable("HOME"));
  if (home.empty()) {
    const passwd* user = ::getpwuid(::getuid());
    if (user != nullptr && user->pw_dir != nullptr) home = user->pw_dir;
  }
  // No place that others share or can guess: a folder below /tmp would be both.
  return home.empty() ? fs::path() : fs::path(home) / ".local" / "share" / "finetuned";
}

// Daemons, which inherit the limit, hold some hundred files at times.
void RaiseFileLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kWantedFiles) return;
  limit.rlim_cur = std::min(limit.rlim_max, kWantedFiles);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

fs::path ProgramDir() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return error ? fs::path(".") : program.parent_path();
}

void ReadEnvironment(Session& session) {
  session.terminal =
      TerminalFor({.all = Variable("LC_ALL"),
                   .type = Variable("LC_CTYPE"),
                   .messages = Variable("LC_MESSAGES"),
                   .lang = Variable("LANG")},
                  ::isatty(STDOUT_FILENO) == 1 && CanRedraw(Variable("TERM")), TerminalColumns());
  session.server = std::string(Variable("FTCTL_SERVER"));
  session.security = {std::string(Variable("FTCTL_CA")), std::string(Variable("FTCTL_TOKEN_FILE"))};
  session.hub = {hub::SettingsOf(hub::ProcessVariables()), hub::TokensOf(hub::ProcessVariables())};
  session.data_dir = UserDataDir();
  session.program_dir = ProgramDir();
}

int ExitStatusOf(const Status& status) {
  if (absl::IsInvalidArgument(status)) return kExitUsage;
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) return kExitUnavailable;
  return kExitFailed;
}

int Main(int argc, char** argv) {
  Session session;
  RaiseFileLimit();
  ReadEnvironment(session);
  if (session.data_dir.empty()) {
    PrintNotice(
        StrCat("ftctl: ",
               session.InLanguage("this user has no home folder: set HOME, or XDG_DATA_HOME to a folder for "
                                  "jobs and results")));
    return kExitUsage;
  }
  CLI::App root;
  DeclareVerbs(root, session);
  if (argc == 1) {
    Print(root.help());
    return kExitUsage;
  }
  try {
    root.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    Print(root.help());
    return kExitOk;
  } catch (const CLI::CallForVersion& version) {
    PrintLine(version.what());
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    PrintNotice(StrCat("ftctl: ", PrintableLines(UsageMessage(root, error.what(), session.terminal))));
    return kExitUsage;
  }
  const StatusOr<int> outcome = session.action();
  if (outcome.ok()) return *outcome;
  PrintNotice(StrCat("ftctl: ", PrintableLines(session.InLanguage(Message(outcome.status())))));
  return ExitStatusOf(outcome.status());
}

}  // namespace
}  // namespace ft::client

int main(int argc, char** argv) { return ft::client::Main(argc, argv); }
