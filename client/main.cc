// ftctl: reads the environment and the arguments, runs one verb, turns its outcome into an exit status.
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "client/commands/commands.h"
#include "client/commands/output.h"
#include "client/commands/session.h"
#include "client/commands/verb.h"

namespace ft::client {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDescription =
    "ftctl fine-tunes language models: it sends jobs to finetuned, the coordinator,\n"
    "shows how they go, and talks to the result.\n";

constexpr const char* kFooter =
    "Start here:\n"
    "  ftctl run --model ./SmolLM2-135M-Instruct --data qa.xlsx\n"
    "                              train on your own file; no daemon needed\n"
    "  ftctl chat qa               talk to the result\n"
    "  ftctl up                    keep a private coordinator and worker running\n"
    "  ftctl submit job.yaml --wait\n"
    "  ftctl doctor                when something does not work\n"
    "\n"
    "`ftctl VERB --help` shows a verb's options with examples.\n"
    "Exit status: 0 ok, 1 the job or request failed, 2 usage or invalid file,\n"
    "3 coordinator unavailable.";

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
  session.data_dir = UserDataDir();
  session.program_dir = ProgramDir();
}

// In the order of `ftctl --help`.
void AddVerbs(CLI::App& root, Session& session) {
  AddRun(root, session);
  AddSubmit(root, session);
  AddPlan(root, session);
  AddPreview(root, session);
  AddList(root, session);
  AddGet(root, session);
  AddWatch(root, session);
  AddLogs(root, session);
  AddEvents(root, session);
  AddMetrics(root, session);
  AddExplain(root, session);
  AddCheckpoints(root, session);
  AddDiff(root, session);
  AddCancel(root, session);
  AddPause(root, session);
  AddResume(root, session);
  AddDelete(root, session);
  AddChat(root, session);
  AddMerge(root, session);
  AddExport(root, session);
  AddConvert(root, session);
  AddUp(root, session);
  AddDown(root, session);
  AddNodes(root, session);
  AddDoctor(root, session);
  AddCapabilities(root, session);
  AddVersion(root, session);
  AddCompletion(root, session);
}

// `ftctl help [VERB]`. CLI11's own help() would answer for the verb `help` itself.
StatusOr<int> Help(CLI::App& root, const std::string& verb) {
  const auto formatter = root.get_formatter();
  if (verb.empty()) {
    Print(formatter->make_help(&root, "ftctl", CLI::AppFormatMode::Normal));
    return kExitOk;
  }
  const auto all = [](CLI::App*) { return true; };
  for (const CLI::App* candidate : root.get_subcommands(all)) {
    if (candidate->get_name() != verb) continue;
    Print(formatter->make_help(candidate, "ftctl " + verb, CLI::AppFormatMode::Normal));
    return kExitOk;
  }
  return absl::InvalidArgumentError(StrCat("there is no verb '", verb, "': `ftctl --help` lists them"));
}

void Declare(CLI::App& root, Session& session) {
  root.name("ftctl");
  root.footer(kFooter);
  root.get_formatter()->column_width(24);
  root.get_formatter()->label("REQUIRED", "");
  root.get_formatter()->label("SUBCOMMAND", "VERB");
  root.require_subcommand(1);
  root.fallthrough();
  root.add_option("--server", session.server, "Coordinator: socket path or HOST:PORT")->type_name("ADDR");
  root.add_option("-o,--output", session.output, "table or json")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"table", "json"}));
  AddVerbs(root, session);
  CLI::App* help = root.add_subcommand("help", "This list, or one verb's options")->group(kGroupMachine);
  auto verb = std::make_shared<std::string>();
  help->add_option("VERB", *verb, "A verb")->type_name("");
  help->callback([&root, &session, verb] {
    session.action = [&root, verb] { return Help(root, *verb); };
  });
}

int ExitStatusOf(const Status& status) {
  if (absl::IsInvalidArgument(status)) return kExitUsage;
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) return kExitUnavailable;
  return kExitFailed;
}

int Main(int argc, char** argv) {
  Session session;
  ReadEnvironment(session);
  CLI::App root(kDescription);
  Declare(root, session);
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
    const auto chosen = root.get_subcommands();
    const std::string verb = chosen.empty() ? std::string() : " " + chosen.front()->get_name();
    Remark(StrCat("ftctl: ", error.what(), "; see ftctl", verb, " --help"));
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
