// ftctl plan and ftctl preview: what a job would do, before anything takes a device. `ft-rank` works it out here, so
// they need no daemon.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/daemons/launch.h"
#include "client/job/job_file.h"
#include "client/job/model_config.h"
#include "client/job/outline.h"
#include "client/render/table.h"
#include "client/render/width.h"
#include "client/session/output.h"
#include "client/transfer/hub_sources.h"
#include "client/transfer/submit_job.h"
#include "core/plan/cards.h"
#include "core/recipe/json.h"
#include "core/recipe/parse.h"
#include "nlohmann/json.hpp"

namespace ft::client {
namespace {

constexpr std::chrono::minutes kTimeout{60};

constexpr int64_t kMostRecords = 1'000'000'000'000;

struct PlanOptions {
  std::string file;
  QuickJob quick;
  std::vector<std::string> sets;
  int64_t records = 0;
  std::string card;
};

StatusOr<JobText> TextOf(const PlanOptions& options) {
  const bool is_quick = !options.quick.model.empty() && !options.quick.data.empty();
  if (!options.file.empty() && options.quick.model.empty() && options.quick.data.empty()) {
    return ReadJobText(options.file);
  }
  if (options.file.empty() && is_quick) return QuickJobText(options.quick, std::filesystem::current_path());
  return absl::InvalidArgumentError("give a job file, or --model and --data");
}

// What ft-rank answers, changed by `show`; what went wrong as it says it.
template <typename ShowAnswer>
StatusOr<int> ShowChanged(const Session& session, const std::vector<std::string>& arguments,
                          const ShowAnswer& show) {
  ASSIGN_OR_RETURN(const std::filesystem::path program, ProgramBeside(session, "ft-rank"));
  ASSIGN_OR_RETURN(const Output output, OutputOf(program, arguments, kTimeout));
  if (output.exit_status != 0) {
    const std::string said = output.text.substr(0, output.text.find_last_not_of('\n') + 1);
    PrintNotice(PrintableLines(session.InLanguage(said)));
  } else {
    show(output.text);
  }
  return output.exit_status;
}

// The plan's lines, broken at words where the terminal ends.
void ShowPlan(const Session& session, const std::string& plan) {
  Print(WrapLines(PlanInLanguage(session.terminal, plan), session.terminal));
}

// The lines of a report that came as JSON.
void ShowReport(const Session& session, const std::string& json) {
  const auto answer = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object() || !answer.contains("report") || !answer["report"].is_array()) return Print(json);
  for (const nlohmann::json& line : answer["report"]) {
    if (line.is_string()) PrintLine(ReportInLanguage(session.terminal, line.get<std::string>()));
  }
}

bool IsAllAtHand(const JobText& text, const recipe::JobSpec& spec) {
  return IsAtHand(text, spec.model.source) &&
         std::all_of(spec.data.begin(), spec.data.end(),
                     [&](const recipe::DataSource& data) { return IsAtHand(text, data.source); });
}

StatusOr<plan::Card> CardOf(const PlanOptions& options) {
  return options.card.empty() ? plan::UnknownCard() : plan::CardOf(options.card);
}

// A plan from settings and sizes alone, where data or model are not at hand.
StatusOr<int> ShowOutline(const PlanOptions& options, const JobText& text, recipe::JobSpec spec,
                          const Session& session) {
  if (!options.card.empty()) spec.resources.device = "gpu";
  ASSIGN_OR_RETURN(const ModelConfig config, ModelConfigOf(text, spec));
  ASSIGN_OR_RETURN(const plan::Card card, CardOf(options));
  ASSIGN_OR_RETURN(Outline outline, OutlineOf(spec, config.text, config.file, options.records, card));
  outline.remarks.insert(outline.remarks.begin(), text.remarks.begin(), text.remarks.end());
  if (!config.remark.empty()) outline.remarks.push_back(config.remark);
  if (session.json()) {
    PrintLine(ToTree(outline).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  } else {
    ShowPlan(session, ToText(outline));
  }
  return kExitOk;
}

StatusOr<int> Inspect(const char* word, const PlanOptions& options, Session& session) {
  RETURN_IF_ERROR(CardOf(options).status());
  ASSIGN_OR_RETURN(JobText text, TextOf(options));
  ASSIGN_OR_RETURN(const recipe::JobSpec asked, ResolveJob(text, options.sets));
  const bool is_plan = std::string_view(word) == "plan";
  const Status built = RefuseUnbuilt(text, asked);
  const bool from_sizes = text.from_recipe && (!built.ok() || !IsAllAtHand(text, asked));
  if (is_plan && (options.records > 0 || from_sizes)) return ShowOutline(options, text, asked, session);
  RETURN_IF_ERROR(built);
  TellRemarks(session, text);
  ASSIGN_OR_RETURN(const std::string absolute, WithAbsolutePaths(text));
  ASSIGN_OR_RETURN(recipe::JobSpec spec, recipe::ParseJob(absolute, text.file_name));
  ASSIGN_OR_RETURN(spec, WithLocalSources(session, std::move(spec)));
  ASSIGN_OR_RETURN(std::string file, PassedFile(recipe::ToJson(spec)));
  std::vector<std::string> arguments = {word, "--spec", std::move(file), "--cache",
                                        (session.data_dir / "worker" / "cache").string()};
  if (!options.card.empty()) arguments.insert(arguments.end(), {"--card", options.card});
  const bool is_chinese = session.terminal.language == Language::kChinese;
  if (session.json() || (is_chinese && !is_plan)) arguments.emplace_back("--json");
  if (!session.json() && is_plan && (is_chinese || session.terminal.interactive)) {
    return ShowChanged(session, arguments, [&session](const std::string& text) { ShowPlan(session, text); });
  }
  if (!session.json() && is_chinese) {
    return ShowChanged(session, arguments,
                       [&session](const std::string& text) { ShowReport(session, text); });
  }
  return BecomeRank(session, arguments);
}

StatusOr<int> Plan(const PlanOptions& options, Session& session) { return Inspect("plan", options, session); }
StatusOr<int> Preview(const PlanOptions& options, Session& session) {
  return Inspect("preview", options, session);
}

void Declare(CLI::App* verb, PlanOptions& options) {
  verb->add_option("FILE", options.file, "Job file, recipe, or - for standard input")->type_name("");
  verb->add_option("--model", options.quick.model, "Model instead of a job file")->type_name("DIR");
  verb->add_option("--data", options.quick.data, "Data instead of a job file; may be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  AddChanges(verb, options.sets);
}

}  // namespace

void AddPlan(CLI::App& root, Session& session) {
  auto options = std::make_shared<PlanOptions>();
  CLI::App* verb =
      root.add_subcommand("plan", "Settings with reasons, steps, memory, time; no start")->group(kGroupTrain);
  Declare(verb, *options);
  verb->add_option("--records", options->records, "So many, for a plan without data at hand")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, kMostRecords));
  verb->add_option("--card", options->card, "A GPU of this kind; it need not be at hand")->type_name("NAME");
  verb->footer(
      "Of a recipe neither model nor data have to be at hand.\n"
      "Examples:\n"
      "  ftctl plan job.yaml --set train.max_length=512\n"
      "  ftctl plan llama2_7b_qlora_sql_e3 --records 78577\n"
      "  ftctl plan llama2_7b_qlora_sql_e3 --card rtx4090-24g");
  SetAction(verb, options, session, Plan);
}

void AddPreview(CLI::App& root, Session& session) {
  auto options = std::make_shared<PlanOptions>();
  CLI::App* verb =
      root.add_subcommand("preview", "Columns and samples as the model will see them")->group(kGroupTrain);
  Declare(verb, *options);
  verb->footer("Example: ftctl preview --model ./SmolLM2-135M-Instruct --data qa.xlsx");
  SetAction(verb, options, session, Preview);
}

}  // namespace ft::client
