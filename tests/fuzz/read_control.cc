#include <map>
#include <string>
#include <vector>

#include "client/render/table.h"
#include "client/render/width.h"
#include "core/base/check.h"
#include "core/base/file.h"
#include "core/config/config_file.h"
#include "core/ledger/ledger.h"
#include "core/process/rank_process.h"
#include "core/recipe/deepspeed.h"
#include "core/recipe/json.h"
#include "core/recipe/parse.h"
#include "core/recipe/yaml_text.h"
#include "core/recipes/resolve.h"
#include "core/records/record_file.h"
#include "tests/fuzz/readers.h"

namespace ft::fuzz {

namespace fs = std::filesystem;

Status ReadJobFile(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string yaml, ReadFile(path));
  ASSIGN_OR_RETURN(const recipe::JobSpec spec, recipe::ParseJob(yaml, "job.yaml"));
  const StatusOr<recipe::JobSpec> again = recipe::FromJson(recipe::ToJson(spec));
  FT_CHECK(again.ok()) << "a job that was accepted cannot be read back: " << again.status();
  return absl::OkStatus();
}

// The first line is what --set gives, the rest the job file.
Status ReadOverrides(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  const size_t line = std::min(bytes.find('\n'), bytes.size());
  ASSIGN_OR_RETURN(
      const std::string yaml,
      recipe::WithOverrides(bytes.substr(std::min(line + 1, bytes.size())), {bytes.substr(0, line)}));
  return recipe::ParseJob(yaml, "job.yaml").status();
}

// The first line is what --set gives, the rest a job file that may start from a recipe.
Status ReadRecipe(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  const size_t line = std::min(bytes.find('\n'), bytes.size());
  const auto no_files = [](const fs::path& file) -> StatusOr<std::string> {
    return absl::NotFoundError(file.string());
  };
  std::vector<std::string> sets;
  if (line > 0) sets.push_back(bytes.substr(0, line));
  ASSIGN_OR_RETURN(
      const recipes::Resolved resolved,
      recipes::Resolve(
          {.yaml = bytes.substr(std::min(line + 1, bytes.size())), .file_name = "job.yaml", .folder = "/"},
          sets, no_files));
  ASSIGN_OR_RETURN(
      const recipe::JobSpec spec,
      recipe::ParseJob(resolved.job.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace),
                       "job.yaml"));
  const std::string shown = recipe::ToYaml(recipe::ToWholeTree(spec));
  const StatusOr<recipe::JobSpec> again = recipe::ParseJob(shown, "shown");
  FT_CHECK(again.ok()) << "a job that was shown cannot be read back: " << again.status();
  return absl::OkStatus();
}

// For a job that leaves all open, and for one that says much itself.
Status ReadDeepspeed(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  Status first;
  for (const char* yaml :
       {"model: m\ndata: d\n",
        "model: {source: m, dtype: bf16}\ndata: d\ncompat: xtuner-0.1.9\n"
        "train: {micro_batch: 2, accumulation: 4, max_grad_norm: 1, optimizer: {lr: 1e-4}}\n"
        "parallel: {ranks: 2}\n"}) {
    ASSIGN_OR_RETURN(const recipe::JobSpec spec, recipe::ParseJob(yaml, "job.yaml"));
    nlohmann::ordered_json job = recipe::ReadYaml(yaml).root;
    const StatusOr<recipe::DeepspeedFile> taken =
        recipe::TakeDeepspeedFile(text, "ds_config.json", spec, job);
    const auto ignore = nlohmann::ordered_json::error_handler_t::replace;
    if (taken.ok()) recipe::ParseJob(job.dump(-1, ' ', false, ignore), "job.yaml").status().IgnoreError();
    first.Update(taken.status());
  }
  return first;
}

Status ReadResolvedJob(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string json, ReadFile(path));
  ASSIGN_OR_RETURN(const recipe::JobSpec spec, recipe::FromJson(json));
  recipe::ToJson(spec);
  return absl::OkStatus();
}

// A key of every type that the two daemons' files have.
Status ReadDaemonConfig(const fs::path& path) {
  std::string data;
  int64_t cores = 0;
  bool shared = false;
  absl::Duration lease;
  std::vector<std::string> roots;
  std::map<std::string, std::string> labels;
  config::ConfigReader reader;
  reader.Bind("data", &data);
  reader.Bind("cores", &cores);
  reader.Bind("shared", &shared);
  reader.Bind("lease", &lease);
  reader.Bind("roots", &roots);
  reader.Bind("labels", &labels);
  return reader.ReadFile(path);
}

// Frames as the agent follows them, as records, and as a rank finds them that goes on writing. The last cuts
// off a torn tail, so it comes last.
Status ReadSpool(const fs::path& path) {
  records::FrameReader reader(path);
  while (true) {
    const StatusOr<std::vector<std::string>> frames = reader.Next(/*max_frames=*/3);
    if (!frames.ok() || frames->empty()) break;
  }
  const Status read = records::ReadRecords(path).status();
  RETURN_IF_ERROR(records::FrameWriter::Open(path).status());
  return read;
}

Status ReadRecord(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  ASSIGN_OR_RETURN(const records::Record record, records::Decode(bytes));
  const StatusOr<records::Record> again = records::Decode(records::Encode(record));
  FT_CHECK(again.ok() && again->body.index() == record.body.index()) << again.status();
  return absl::OkStatus();
}

Status ReadLedgerEntry(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string json, ReadFile(path));
  ASSIGN_OR_RETURN(const ledger::LedgerEntry entry, ledger::Decode(json));
  const StatusOr<ledger::LedgerEntry> again = ledger::Decode(ledger::Encode(entry));
  FT_CHECK(again.ok() && *again == entry) << again.status();
  ledger::FirstDifference({entry}, {*again});
  return absl::OkStatus();
}

Status ReadRankState(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string json, ReadFile(path));
  ASSIGN_OR_RETURN(const process::RankProcess rank,
                   process::RankFromJson(nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false)));
  process::ToJson(rank).dump();
  return absl::OkStatus();
}

// Text of others (job names, log lines, answers) on a person's terminal.
Status ShowText(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  client::DisplayWidth(text);
  client::PrintableLines(text);
  const std::string line = client::Printable(text);
  for (const int width : {0, 1, 7, 80}) {
    const int cut = client::DisplayWidth(client::CutToWidth(line, width, "~"));
    FT_CHECK(cut <= std::max(width, 1)) << cut << " columns, not " << width;
    client::Wrap(text, width, 2);
  }
  client::Table table({{.title = client::Text::kColumnName, .may_cut = true},
                       {.title = client::Text::kColumnStep, .align = client::Align::kRight}});
  table.AddRow({text, "1"});
  table.Render({.columns = 40});
  return absl::OkStatus();
}

}  // namespace ft::fuzz
