#include "client/commands/parser.h"

#include <CLI/CLI.hpp>

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "client/commands/commands.h"
#include "client/commands/help_text.h"
#include "client/commands/verb.h"
#include "client/render/templates.h"
#include "client/session/output.h"
#include "core/recipe/parse.h"

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
  AddValidate(root, session);
  AddRecipe(root, session);
  AddPreprocess(root, session);
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
  AddEval(root, session);
  AddMerge(root, session);
  AddExport(root, session);
  AddConvert(root, session);
  AddUp(root, session);
  AddDown(root, session);
  AddNodes(root, session);
  AddDrain(root, session);
  AddCache(root, session);
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
  root.add_option("--ca", session.security.ca, "Who signs the certificate of HOST:PORT (PEM)")
      ->type_name("FILE");
  root.add_option("--token-file", session.security.token_file, "Your token for HOST:PORT")->type_name("FILE");
  root.add_option("-o,--output", session.output, "table or json")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"table", "json"}));
  root.set_version_flag("--version", StrCat("ftctl ", FT_VERSION), "Print the version");
  AddVerbs(root, session);
  CLI::App* help = root.add_subcommand("help", "This list, or one verb's options")->group(kGroupMachine);
  auto verb = std::make_shared<std::string>();
  help->add_option("VERB", *verb, "A verb")->type_name("");
  help->callback([&root, &session, verb] { session.action = [&root, verb] { return Help(root, *verb); }; });
  if (session.terminal.language == Language::kChinese) TranslateHelp(root, session.terminal);
}

namespace {

// Words that other programs have for what a verb does.
constexpr std::pair<std::string_view, std::string_view> kOtherWords[] = {
    {"train", "run"},      {"finetune", "run"}, {"fine-tune", "run"},  {"tune", "run"},
    {"start", "run"},      {"ls", "list"},      {"ps", "list"},        {"jobs", "list"},
    {"show", "get"},       {"status", "get"},   {"log", "logs"},       {"stop", "cancel"},
    {"kill", "cancel"},    {"rm", "delete"},    {"remove", "delete"},  {"talk", "chat"},
    {"ask", "chat"},       {"infer", "chat"},   {"generate", "chat"},  {"save", "export"},
    {"check", "doctor"},   {"view", "preview"}, {"recipes", "recipe"}, {"list-cfg", "recipe"},
    {"copy-cfg", "recipe"}};

std::string DidYouMean(const std::string& near) {
  return near.empty() ? "" : StrCat(", did you mean ", near, "?");
}

std::string NearestVerb(const CLI::App& root, std::string_view word) {
  for (const auto& [other, verb] : kOtherWords) {
    if (word == other) return std::string(verb);
  }
  std::set<std::string> verbs;
  for (const CLI::App* verb : root.get_subcommands([](const CLI::App*) { return true; }))
    verbs.insert(verb->get_name());
  return recipe::Nearest(word, verbs);
}

std::string NearestOption(const CLI::App& root, const CLI::App& verb, std::string_view word) {
  std::set<std::string> options;
  for (const CLI::App* app : {&root, &verb}) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) options.insert("--" + name);
    }
  }
  return recipe::Nearest(word, options);
}

// The command line names no verb that there is.
std::string WhichVerb(const CLI::App& root) {
  for (const std::string& word : root.remaining()) {
    if (word.starts_with("-")) continue;
    return StrCat("there is no verb '", word, "'", DidYouMean(NearestVerb(root, word)),
                  "; ftctl --help lists them");
  }
  return StrCat("which verb? ",
                root.remaining().empty() ? "" : StrCat(root.remaining().front(), " is no option; "),
                "ftctl --help lists all");
}

}  // namespace

std::string UsageMessage(const CLI::App& root, const std::string& what, const Terminal& terminal) {
  const auto chosen = root.get_subcommands();
  if (chosen.empty()) return InLanguage(terminal, WhichVerb(root));
  const CLI::App& verb = *chosen.front();
  // The parts one by one: the parser's words are known only as a whole.
  const std::string_view mark = terminal.language == Language::kChinese ? "；" : "; ";
  const std::string see = InLanguage(terminal, StrCat("see ftctl ", verb.get_name(), " --help"));
  // A verb hands what it does not know up to the root.
  for (const std::string& word : root.remaining(/*recurse=*/true)) {
    const std::string option = word.substr(0, word.find('='));
    if (!option.starts_with("--") || verb.get_allow_extras()) continue;
    const std::string none =
        StrCat("there is no option ", option, DidYouMean(NearestOption(root, verb, option)));
    return StrCat(InLanguage(terminal, none), mark, see);
  }
  return StrCat(PhraseInLanguage(terminal, CommandLineTemplates(), what), mark, see);
}

}  // namespace ft::client
