// ftctl chat, eval, merge, export and convert: `ft-rank` does the work; here names become folders. They need no daemon.
#include <utility>
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/daemons/launch.h"
#include "client/session/output.h"
#include "client/stored/run_folder.h"
#include "client/transfer/fetch_adapter.h"
#include "client/transfer/hub_sources.h"
#include "core/base/shell_quote.h"

namespace ft::client {
namespace {

struct UseOptions {
  std::string job;
  std::string out;
  CLI::App* verb = nullptr;  // Its remaining arguments go to ft-rank as they are.
};

// --model, --adapter and --attempt, as far as they are known.
std::vector<std::string> Sources(const RunFolder& folder) {
  std::vector<std::string> arguments;
  const auto add = [&arguments](const char* flag, const std::string& value) {
    if (value.empty()) return;
    arguments.emplace_back(flag);
    arguments.push_back(value);
  };
  add("--model", folder.model);
  add("--adapter", folder.adapter.string());
  add("--attempt", folder.attempt.string());
  return arguments;
}

// What the name stands for, with its base model on this machine: one on a hub as the job had it, else as it is there now.
StatusOr<RunFolder> LocalFolder(Session& session, const std::string& argument) {
  RunFolder folder;
  if (recipe::IsHubSource(argument)) {
    folder.name = argument;
    folder.model = argument;
  } else {
    ASSIGN_OR_RETURN(folder, ResolveRunFolder(session, argument));
  }
  ASSIGN_OR_RETURN(folder.model, LocalModel(session, folder.model, folder.run_dir));
  return folder;
}

StatusOr<RunFolder> FolderWithResult(Session& session, const std::string& argument) {
  ASSIGN_OR_RETURN(RunFolder folder, LocalFolder(session, argument));
  if (!folder.adapter.empty()) return folder;
  if (folder.run_dir.empty()) {
    return absl::InvalidArgumentError(
        StrCat(argument, " is a whole model: there is no adapter to merge or export; `ftctl convert ",
               ShellQuoted(argument), " DIR` copies it"));
  }
  return absl::FailedPreconditionError(
      StrCat(argument, " has no result: it appears when the job has succeeded; `ftctl get ",
             ShellQuoted(argument), "` shows its state"));
}

// `--model ADDRESS` as a folder.
Status FetchModelArgument(Session& session, std::vector<std::string>& arguments) {
  constexpr std::string_view kFlag = "--model";
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string& argument = arguments[i];
    if (argument == kFlag && i + 1 < arguments.size()) {
      ASSIGN_OR_RETURN(arguments[i + 1], LocalModel(session, arguments[i + 1]));
    } else if (argument.starts_with(StrCat(kFlag, "="))) {
      ASSIGN_OR_RETURN(const std::string folder, LocalModel(session, argument.substr(kFlag.size() + 1)));
      argument = StrCat(kFlag, "=", folder);
    }
  }
  return absl::OkStatus();
}

StatusOr<int> Become(const UseOptions& options, Session& session, std::vector<std::string> arguments) {
  std::vector<std::string> rest = options.verb->remaining();
  RETURN_IF_ERROR(FetchModelArgument(session, rest));
  arguments.insert(arguments.end(), rest.begin(), rest.end());
  return RunRank(session, arguments);
}

// A verb that answers with the job's model, or with its base while it has no result.
StatusOr<int> Ask(const char* word, const UseOptions& options, Session& session) {
  ASSIGN_OR_RETURN(const RunFolder folder, LocalFolder(session, options.job));
  if (!folder.run_dir.empty() && folder.adapter.empty()) {
    PrintNotice(session.InLanguage(StrCat(folder.name, " has no result yet: this is its base model")));
  }
  std::vector<std::string> arguments = {word};
  for (std::string& argument : Sources(folder)) arguments.push_back(std::move(argument));
  return Become(options, session, std::move(arguments));
}

StatusOr<int> Chat(const UseOptions& options, Session& session) { return Ask("chat", options, session); }

StatusOr<int> Eval(const UseOptions& options, Session& session) { return Ask("eval", options, session); }

StatusOr<int> WriteOut(const char* word, const UseOptions& options, Session& session,
                       const RunFolder& folder) {
  std::vector<std::string> arguments = {word};
  for (std::string& argument : Sources(folder)) arguments.push_back(std::move(argument));
  arguments.emplace_back("--out");
  arguments.push_back(options.out);
  return Become(options, session, std::move(arguments));
}

StatusOr<int> Merge(const UseOptions& options, Session& session) {
  ASSIGN_OR_RETURN(const RunFolder folder, FolderWithResult(session, options.job));
  return WriteOut("merge", options, session, folder);
}

StatusOr<int> Export(const UseOptions& options, Session& session) {
  const StatusOr<RunFolder> folder = FolderWithResult(session, options.job);
  if (folder.ok()) return WriteOut("export", options, session, *folder);
  // The files may be on another machine: the coordinator keeps the result.
  const bool may_fetch = absl::IsFailedPrecondition(folder.status()) && options.verb->remaining().empty();
  if (!may_fetch) return folder.status();
  const StatusOr<v1::Job> job = session.GetJob(options.job);
  if (!job.ok()) return folder.status();
  const StatusOr<v1::Job> with_result =
      job->state() == v1::SUCCEEDED ? *job : session.NewestSucceeded(options.job);
  if (!with_result.ok()) return folder.status();
  if (JobId(*with_result) != JobId(*job)) {
    PrintNotice(session.Localized(Text::kOtherResult, options.job, JobId(*with_result)));
  }
  RETURN_IF_ERROR(FetchAdapter(session, *with_result, options.out));
  PrintLine(options.out);
  return kExitOk;
}

StatusOr<int> Convert(const UseOptions& options, Session& session) {
  return Become(options, session, {"convert"});
}

// These verbs leave options that they do not know to ft-rank.
CLI::App* AddRankVerb(CLI::App& root, const char* name, const char* description, UseOptions& options) {
  CLI::App* verb = root.add_subcommand(name, description)->group(kGroupUse);
  verb->fallthrough(false);
  verb->allow_extras();
  options.verb = verb;
  return verb;
}

void AddServerOption(CLI::App* verb, Session& session) {
  verb->add_option("--server", session.server, "Coordinator to ask for the job")->type_name("ADDR");
}

}  // namespace

void AddChat(CLI::App& root, Session& session) {
  auto options = std::make_shared<UseOptions>();
  CLI::App* verb = AddRankVerb(root, "chat", "Talk to a tuned model, or to a plain one", *options);
  verb->add_option("JOB", options->job, "Job, run folder, adapter or model")->required()->type_name("");
  AddServerOption(verb, session);
  verb->footer(
      "Other options go to `ft-rank chat`; see ft-rank chat --help.\n"
      "Examples:\n  ftctl chat qa\n  ftctl chat qa --prompt \"Who are you?\"\n  ftctl chat "
      "./SmolLM2-135M-Instruct");
  SetAction(verb, options, session, Chat);
}

void AddEval(CLI::App& root, Session& session) {
  auto options = std::make_shared<UseOptions>();
  CLI::App* verb =
      AddRankVerb(root, "eval", "MMLU, perplexity or answers of a model, tuned or not", *options);
  verb->add_option("JOB", options->job, "Job, run folder, adapter or model")->required()->type_name("");
  AddServerOption(verb, session);
  verb->footer(
      "Other options go to `ft-rank eval`; see ft-rank eval --help.\n"
      "Examples:\n  ftctl eval qa --mmlu five_shot_mmlu_val.json --max-length 2048\n"
      "  ftctl eval qa --perplexity held_out.jsonl\n"
      "  ftctl eval qa --prompts questions.txt");
  SetAction(verb, options, session, Eval);
}

void AddMerge(CLI::App& root, Session& session) {
  auto options = std::make_shared<UseOptions>();
  CLI::App* verb =
      AddRankVerb(root, "merge", "Adapter and base as one model that answers as chat does", *options);
  verb->add_option("JOB", options->job, "Job, run folder or adapter")->required()->type_name("");
  verb->add_option("DIR", options->out, "New folder for the model")->required()->type_name("");
  AddServerOption(verb, session);
  verb->footer(
      "The result is in Hugging Face layout. Other options go to `ft-rank merge`.\n"
      "Examples:\n  ftctl merge qa ./qa-model\n"
      "  ftctl merge qa ./qa-model --base stored   over the base as it is stored, not\n"
      "         as the job saw it: answers may differ from those of chat");
  SetAction(verb, options, session, Merge);
}

void AddExport(CLI::App& root, Session& session) {
  auto options = std::make_shared<UseOptions>();
  CLI::App* verb =
      AddRankVerb(root, "export", "The result: an adapter as PEFT reads it, or a model", *options);
  verb->add_option("JOB", options->job, "Job, run folder or adapter")->required()->type_name("");
  verb->add_option("DIR", options->out, "New folder for the adapter")->required()->type_name("");
  AddServerOption(verb, session);
  verb->footer(
      "Other options go to `ft-rank export`.\n"
      "Example: ftctl export qa ./qa-adapter --base dequantised   also writes the base\n"
      "         model as the job saw it");
  SetAction(verb, options, session, Export);
}

void AddConvert(CLI::App& root, Session& session) {
  auto options = std::make_shared<UseOptions>();
  CLI::App* verb = AddRankVerb(root, "convert", "A model file into another format", *options);
  verb->footer("All arguments go to `ft-rank convert`.\nExample: ftctl convert model.gguf ./model");
  SetAction(verb, options, session, Convert);
}

}  // namespace ft::client
