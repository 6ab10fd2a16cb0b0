// ftctl: reads the environment and the arguments, runs one verb, turns its outcome into an exit status.
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "client/commands/output.h"
#include "client/commands/parser.h"
#include "client/commands/session.h"

namespace ft::client {
namespace {

namespace fs = std::filesystem;

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
  const std::string_view home = Variable("HOME");
  return fs::path(home.empty() ? "/tmp" : home) / ".local" / "share" / "finetuned";
}

fs::path ProgramDir() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return error ? fs::path(".") : program.parent_path();
}

void ReadEnvironment(Session& session) {
  session.terminal = TerminalFor({.all = Variable("LC_ALL"),
                                  .type = Variable("LC_CTYPE"),
                                  .messages = Variable("LC_MESSAGES"),
                                  .lang = Variable("LANG")},
                                 ::isatty(STDOUT_FILENO) == 1, TerminalColumns());
  session.server = std::string(Variable("FTCTL_SERVER"));
  session.security = {std::string(Variable("FTCTL_CA")), std::string(Variable("FTCTL_TOKEN_FILE"))};
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
  ReadEnvironment(session);
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
  } catch (const CLI::ParseError& error) {
    Remark(StrCat("ftctl: ", UsageMessage(root, error.what())));
    return kExitUsage;
  }
  const StatusOr<int> outcome = session.action();
  if (outcome.ok()) return *outcome;
  Remark(StrCat("ftctl: ", outcome.status().message()));
  return ExitStatusOf(outcome.status());
}

}  // namespace
}  // namespace ft::client

int main(int argc, char** argv) { return ft::client::Main(argc, argv); }
