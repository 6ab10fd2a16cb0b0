// ftctl recipe list, show and diff: the recipes that this program brings, and files that start from one.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/job/job_file.h"
#include "client/session/output.h"
#include "core/recipe/json.h"
#include "core/recipe/parse.h"
#include "core/recipe/yaml_text.h"
#include "core/recipe/yaml_tree.h"
#include "core/recipes/builtin_files.h"
#include "core/recipes/names.h"

namespace ft::client {
namespace {

using Json = nlohmann::ordered_json;

struct ListOptions {
  std::string model;
  std::string method;
  std::string task;
  bool training = false;
};

struct ShowOptions {
  std::string name;
  std::vector<std::string> sets;
};

struct DiffOptions {
  std::string one;
  std::string other;
};

// INVALID_ARGUMENT for a word that no recipe has there.
Status CheckFilter(const std::string& option, const std::string& word, std::string recipes::Name::*part) {
  if (word.empty()) return absl::OkStatus();
  std::set<std::string> known;
  for (const recipes::Name& name : recipes::AllNames()) known.insert(name.*part);
  if (known.contains(word)) return absl::OkStatus();
  const std::string near = recipe::Nearest(word, known);
  return absl::InvalidArgumentError(StrCat("no recipe has ", option, " ", word,
                                           near.empty() ? "" : StrCat(", did you mean '", near, "'?")));
}

StatusOr<int> List(const ListOptions& options, Session& session) {
  RETURN_IF_ERROR(CheckFilter("--model", options.model, &recipes::Name::model));
  RETURN_IF_ERROR(CheckFilter("--method", options.method, &recipes::Name::method));
  RETURN_IF_ERROR(CheckFilter("--task", options.task, &recipes::Name::task));
  const auto fits = [](const std::string& wanted, const std::string& word) {
    return wanted.empty() || wanted == word;
  };
  Json list = Json::array();
  std::string lines;
  for (const recipes::Name& name : recipes::AllNames()) {
    if (options.training && !name.is_training()) continue;
    if (!fits(options.model, name.model) || !fits(options.method, name.method) ||
        !fits(options.task, name.task))
      continue;
    StrAppend(&lines, name.name, "\n");
    list.push_back(
        {{"name", name.name}, {"model", name.model}, {"method", name.method}, {"task", name.task}});
  }
  Print(session.json() ? list.dump(2) + "\n" : lines);
  return kExitOk;
}

struct Shown {
  Json tree;
  std::vector<std::string> remarks;
};

// The whole job file, or what a ZeRO setting changes of one.
StatusOr<Shown> ShownOf(const std::string& name, const std::vector<std::string>& sets) {
  const recipes::Name* known = recipes::FindName(name);
  if (known != nullptr && !known->is_training()) {
    return Shown{.tree = recipe::ReadYaml(recipes::FindBuiltin(StrCat("zero/", name, ".yaml"))->text).root};
  }
  ASSIGN_OR_RETURN(JobText text, ReadJobText(name));
  ASSIGN_OR_RETURN(const recipe::JobSpec spec, ResolveJob(text, sets));
  Shown shown{.tree = recipe::ToWholeTree(spec), .remarks = text.remarks};
  shown.tree.erase("recipe");  // It is in there.
  return shown;
}

StatusOr<int> Show(const ShowOptions& options, Session& session) {
  ASSIGN_OR_RETURN(const Shown shown, ShownOf(options.name, options.sets));
  if (session.json()) {
    PrintLine(shown.tree.dump(2, ' ', false, Json::error_handler_t::replace));
    return kExitOk;
  }
  std::string text;
  for (const std::string& remark : shown.remarks) StrAppend(&text, "# ", session.InLanguage(remark), "\n");
  Print(text + recipe::ToYaml(shown.tree));
  return kExitOk;
}

// Every value by its path, in the order of the file.
void Flatten(const std::string& path, const Json& value,
             std::vector<std::pair<std::string, std::string>>& out) {
  const bool is_list_of_mappings = value.is_array() && !value.empty() && value.front().is_object();
  if (!value.is_object() && !is_list_of_mappings)
    return out.emplace_back(path, recipe::ToYamlScalar(value)), void();
  if (is_list_of_mappings) {
    for (size_t i = 0; i < value.size(); ++i) Flatten(StrCat(path, "[", i, "]"), value[i], out);
    return;
  }
  for (const auto& [key, child] : value.items())
    Flatten(path.empty() ? key : StrCat(path, ".", key), child, out);
}

struct Difference {
  std::string path, one, other;  // "-" where a side has nothing.
};

std::vector<Difference> DifferencesOf(const Json& one, const Json& other) {
  std::vector<std::pair<std::string, std::string>> left, right;
  Flatten("", one, left);
  Flatten("", other, right);
  const std::map<std::string, std::string> of_left(left.begin(), left.end()),
      of_right(right.begin(), right.end());
  std::vector<Difference> all;
  for (const auto& [path, value] : left) {
    const auto found = of_right.find(path);
    if (found == of_right.end() || found->second != value)
      all.push_back({path, value, found == of_right.end() ? "-" : found->second});
  }
  for (const auto& [path, value] : right) {
    if (!of_left.contains(path)) all.push_back({path, "-", value});
  }
  std::erase_if(all, [](const Difference& difference) { return difference.path == "name"; });
  return all;
}

StatusOr<int> Diff(const DiffOptions& options, Session& session) {
  ASSIGN_OR_RETURN(const Shown one, ShownOf(options.one, {}));
  ASSIGN_OR_RETURN(const Shown other, ShownOf(options.other, {}));
  const std::vector<Difference> all = DifferencesOf(one.tree, other.tree);
  if (session.json()) {
    Json tree = Json::object();
    for (const Difference& difference : all) tree[difference.path] = {difference.one, difference.other};
    PrintLine(tree.dump(2, ' ', false, Json::error_handler_t::replace));
    return kExitOk;
  }
  for (const Difference& difference : all)
    PrintLine(StrCat(difference.path, ": ", difference.one, " -> ", difference.other));
  if (all.empty()) PrintNotice(session.Localized(Text::kRecipesEqual, options.one, options.other));
  return kExitOk;
}

void AddList(CLI::App* verb, Session& session) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* list = verb->add_subcommand("list", "All names, one a line");
  list->add_option("--model", options->model, "Of one base model, e.g. internlm_7b")->type_name("NAME");
  list->add_option("--method", options->method, "qlora, int8_lora or full")->type_name("NAME");
  list->add_option("--task", options->task, "Of one task, e.g. oasst1_e3")->type_name("NAME");
  list->add_flag("--training", options->training, "Without the ZeRO settings (for --deepspeed)");
  SetAction(list, options, session, List);
}

void AddShow(CLI::App* verb, Session& session) {
  auto options = std::make_shared<ShowOptions>();
  CLI::App* show = verb->add_subcommand("show", "The whole job file that it stands for");
  show->add_option("NAME", options->name, "A recipe, or a file that starts from one")
      ->required()
      ->type_name("");
  AddChanges(show, options->sets);
  show->footer("Example: ftctl recipe show internlm_7b_qlora_oasst1_e3 > my.yaml");
  SetAction(show, options, session, Show);
}

void AddDiff(CLI::App* verb, Session& session) {
  auto options = std::make_shared<DiffOptions>();
  CLI::App* diff = verb->add_subcommand("diff", "The settings in which two differ");
  diff->add_option("A", options->one, "A recipe, or a file that starts from one")->required()->type_name("");
  diff->add_option("B", options->other, "Another")->required()->type_name("");
  SetAction(diff, options, session, Diff);
}

}  // namespace

void AddRecipe(CLI::App& root, Session& session) {
  CLI::App* verb =
      root.add_subcommand("recipe", "Ready-made settings of XTuner's recipes")->group(kGroupTrain);
  verb->require_subcommand(1);
  AddList(verb, session);
  AddShow(verb, session);
  AddDiff(verb, session);
  verb->footer(
      "A job file starts from one with `recipe: NAME`; docs/recipes.md has more.\n"
      "Examples:\n"
      "  ftctl recipe list --model llama2_7b\n"
      "  ftctl recipe diff llama2_7b_qlora_sql_e3 llama2_7b_qlora_oasst1_e3");
}

}  // namespace ft::client
