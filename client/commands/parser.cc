#include "client/commands/parser.h"

#include <CLI/CLI.hpp>

#include <memory>
#include <string>

#include "client/commands/commands.h"
#include "client/commands/output.h"
#include "client/commands/verb.h"

namespace ft::client {
namespace {

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
  AddDrain(root, session);
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

}  // namespace

void DeclareVerbs(CLI::App& root, Session& session) {
  root.name("ftctl");
  root.description(kDescription);
  root.footer(kFooter);
  root.get_formatter()->column_width(24);
  root.get_formatter()->label("REQUIRED", "");
  root.get_formatter()->label("SUBCOMMAND", "VERB");
  root.require_subcommand(1);
  root.fallthrough();
  root.add_option("--server", session.server, "Coordinator: socket path or HOST:PORT")->type_name("ADDR");
  root.add_option("--ca", session.security.ca, "Who signs the certificate of HOST:PORT (PEM)")->type_name("FILE");
  root.add_option("--token-file", session.security.token_file, "Your token for HOST:PORT")->type_name("FILE");
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

std::string UsageMessage(const CLI::App& root, const std::string& what) {
  const auto chosen = root.get_subcommands();
  if (!chosen.empty()) return StrCat(what, "; see ftctl ", chosen.front()->get_name(), " --help");
  for (const std::string& word : root.remaining()) {
    if (!word.starts_with("-")) return StrCat("there is no verb '", word, "'; ftctl --help lists them");
  }
  return StrCat("which verb? ", root.remaining().empty() ? "" : StrCat(root.remaining().front(), " is no option; "),
                "ftctl --help lists all");
}

}  // namespace ft::client
