// ftctl validate: whether a job file is one, what it sets, and what became of each key of DeepSpeed's file. Needs no daemon.
#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/job/job_file.h"
#include "client/render/width.h"
#include "client/session/output.h"
#include "core/recipe/json.h"
#include "core/recipe/yaml_text.h"

namespace ft::client {
namespace {

using Json = nlohmann::ordered_json;

struct ValidateOptions {
  std::string file;
  std::vector<std::string> sets;
};

void PrintJson(const JobText& text, const Json& settings) {
  Json keys = Json::array();
  for (const recipe::DeepspeedKey& key : text.deepspeed) {
    keys.push_back(
        {{"key", key.path}, {"value", key.value}, {"became", key.became}, {"has_meaning", key.has_meaning}});
  }
  const Json answer = {{"settings", settings}, {"remarks", text.remarks}, {"deepspeed", keys}};
  PrintLine(answer.dump(2, ' ', false, Json::error_handler_t::replace));
}

StatusOr<int> Validate(const ValidateOptions& options, Session& session) {
  ASSIGN_OR_RETURN(JobText text, ReadJobText(options.file));
  ASSIGN_OR_RETURN(const recipe::JobSpec spec, CheckJob(text, options.sets));
  Json settings = recipe::ToWholeTree(spec);
  settings.erase("recipe");  // It is in there.
  if (session.json()) {
    PrintJson(text, settings);
    return kExitOk;
  }
  for (const recipe::DeepspeedKey& key : text.deepspeed) {
    PrintLine(
        StrCat("# ", key.path, ": ", Printable(key.value), " -> ",
               session.InLanguage(key.has_meaning ? key.became : StrCat("no meaning here: ", key.became))));
  }
  for (const std::string& remark : text.remarks)
    PrintLine(StrCat("# ", Printable(session.InLanguage(remark))));
  Print(recipe::ToYaml(settings));
  return kExitOk;
}

}  // namespace

void AddValidate(CLI::App& root, Session& session) {
  auto options = std::make_shared<ValidateOptions>();
  CLI::App* verb = root.add_subcommand("validate", "Check a job file and print what it sets; start nothing")
                       ->group(kGroupTrain);
  verb->add_option("FILE", options->file, "Job file, recipe, or - for standard input")
      ->required()
      ->type_name("");
  AddChanges(verb, options->sets);
  verb->footer("Example: ftctl validate job.yaml --deepspeed ds_config.json");
  SetAction(verb, options, session, Validate);
}

}  // namespace ft::client
