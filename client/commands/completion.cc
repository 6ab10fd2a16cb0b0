// ftctl completion: a bash script made from the verbs and options themselves.
#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/session/output.h"

namespace ft::client {
namespace {

struct CompletionOptions {
  std::string shell = "bash";
  CLI::App* root = nullptr;
};

// "--server -o --output" of one parser.
std::string OptionNames(const CLI::App& app) {
  std::string names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames())
      StrAppend(&names, names.empty() ? "" : " ", "--", name);
    for (const std::string& name : option->get_snames())
      StrAppend(&names, names.empty() ? "" : " ", "-", name);
  }
  return names;
}

// "remove" of nodes.
std::string SubverbNames(const CLI::App& verb) {
  std::string names;
  for (const CLI::App* one : verb.get_subcommands([](const CLI::App*) { return true; })) {
    StrAppend(&names, names.empty() ? "" : " ", one->get_name());
  }
  return names;
}

StatusOr<int> Completion(const CompletionOptions& options, Session& session) {
  const auto all = [](CLI::App*) { return true; };
  std::string verbs;
  std::string cases;
  const std::string of_all = OptionNames(*options.root);
  for (const CLI::App* verb : options.root->get_subcommands(all)) {
    StrAppend(&verbs, verbs.empty() ? "" : " ", verb->get_name());
    StrAppend(&cases, "    ", verb->get_name(), ") words=\"", OptionNames(*verb), " ", of_all,
              "\" subverbs=\"", SubverbNames(*verb), "\" ;;\n");
  }
  Print(
      StrCat("_ftctl() {\n"
             "  local current=${COMP_WORDS[COMP_CWORD]} words subverbs recipes\n"
             "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
             "    COMPREPLY=($(compgen -W \"",
             verbs, " ", of_all,
             "\" -- \"$current\"))\n"
             "    return\n"
             "  fi\n"
             "  case ${COMP_WORDS[1]} in\n",
             cases,
             "  esac\n"
             "  case ${COMP_WORDS[1]} in\n"
             "    recipe | plan | submit | run) recipes=$(ftctl recipe list 2>/dev/null) ;;\n"
             "  esac\n"
             "  case $current in\n"
             "    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$current\")) ;;\n"
             "    *) COMPREPLY=($(compgen -f -- \"$current\") $(compgen -W \"$subverbs $recipes\" -- "
             "\"$current\")) ;;\n"
             "  esac\n"
             "}\n"
             "complete -o filenames -F _ftctl ftctl\n"));
  return kExitOk;
}

}  // namespace

void AddCompletion(CLI::App& root, Session& session) {
  auto options = std::make_shared<CompletionOptions>();
  options->root = &root;
  CLI::App* verb =
      root.add_subcommand("completion", "A script that completes verbs and options")->group(kGroupMachine);
  verb->add_option("SHELL", options->shell, "bash")->type_name("")->check(CLI::IsMember({"bash"}));
  verb->footer("Use: source <(ftctl completion)");
  SetAction(verb, options, session, Completion);
}

}  // namespace ft::client
