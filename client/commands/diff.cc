// ftctl diff: where two runs part ways, to the bit.
#include <optional>
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/render/units.h"
#include "client/session/output.h"
#include "client/stored/run_folder.h"
#include "core/ledger/ledger.h"
#include "nlohmann/json.hpp"

namespace ft::client {
namespace {

struct DiffOptions {
  std::string first;
  std::string second;
};

StatusOr<std::vector<ledger::LedgerEntry>> LedgerOf(Session& session, const std::string& argument) {
  ASSIGN_OR_RETURN(const RunFolder folder, ResolveRunFolder(session, argument));
  if (folder.run_dir.empty()) {
    return absl::InvalidArgumentError(StrCat(argument, " is no job and no run folder, so it has no ledger"));
  }
  ASSIGN_OR_RETURN(std::vector<ledger::LedgerEntry> entries, ledger::ReadJobLedger(folder.run_dir));
  if (entries.empty()) {
    return absl::FailedPreconditionError(StrCat(
        argument, " has no ledger yet: ", (folder.run_dir / "attempts").string(), " holds no recorded step"));
  }
  return entries;
}

std::string WhatDiffers(const DiffOptions& options, const Session& session,
                        const ledger::LedgerDifference& difference) {
  const std::string part = difference.tensor.empty() ? "*" : difference.tensor;
  switch (difference.kind) {
    case ledger::DifferenceKind::kMissingInFirst:
      return session.Localized(Text::kDifferMissing, options.second);
    case ledger::DifferenceKind::kMissingInSecond:
      return session.Localized(Text::kDifferMissing, options.first);
    case ledger::DifferenceKind::kSamples: return session.Localized(Text::kDifferSamples);
    case ledger::DifferenceKind::kGradient: return session.Localized(Text::kDifferGradient, part);
    case ledger::DifferenceKind::kWeights: return session.Localized(Text::kDifferWeights, part);
  }
  return part;
}

const char* KindName(ledger::DifferenceKind kind) {
  switch (kind) {
    case ledger::DifferenceKind::kMissingInFirst: return "MISSING_IN_FIRST";
    case ledger::DifferenceKind::kMissingInSecond: return "MISSING_IN_SECOND";
    case ledger::DifferenceKind::kSamples: return "SAMPLES";
    case ledger::DifferenceKind::kGradient: return "GRADIENT";
    case ledger::DifferenceKind::kWeights: return "WEIGHTS";
  }
  return "";
}

void PrintJson(size_t steps, const std::optional<ledger::LedgerDifference>& difference) {
  nlohmann::ordered_json answer;
  answer["equal"] = !difference.has_value();
  answer["steps"] = steps;
  if (difference.has_value()) {
    answer["step"] = difference->step;
    answer["kind"] = KindName(difference->kind);
    answer["tensor"] = difference->tensor;
    answer["first"] = difference->first;
    answer["second"] = difference->second;
  }
  PrintLine(answer.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

StatusOr<int> Diff(const DiffOptions& options, Session& session) {
  ASSIGN_OR_RETURN(const std::vector<ledger::LedgerEntry> first, LedgerOf(session, options.first));
  ASSIGN_OR_RETURN(const std::vector<ledger::LedgerEntry> second, LedgerOf(session, options.second));
  if (const int64_t step = ledger::FirstIncomparable(first, second); step > 0) {
    return absl::FailedPreconditionError(
        StrCat("step ", step, " of ", options.first, " and of ", options.second,
               " were recorded by versions with different digests: run one of them again"));
  }
  const std::optional<ledger::LedgerDifference> difference = ledger::FirstDifference(first, second);
  const int exit_status = difference.has_value() ? kExitFailed : kExitOk;
  if (session.json()) {
    PrintJson(first.size(), difference);
    return exit_status;
  }
  if (!difference.has_value()) {
    PrintLine(session.Localized(Text::kLedgersEqual, FormatCount(static_cast<int64_t>(first.size()))));
    return exit_status;
  }
  PrintLine(
      session.Localized(Text::kLedgersDiffer, difference->step, WhatDiffers(options, session, *difference)));
  if (!difference->first.empty()) PrintLine(StrCat("  ", difference->first, "  ", options.first));
  if (!difference->second.empty()) PrintLine(StrCat("  ", difference->second, "  ", options.second));
  return exit_status;
}

}  // namespace

void AddDiff(CLI::App& root, Session& session) {
  auto options = std::make_shared<DiffOptions>();
  CLI::App* verb =
      root.add_subcommand("diff", "First step and tensor in which two runs differ")->group(kGroupLook);
  verb->add_option("A", options->first, "Job or run folder")->required()->type_name("");
  verb->add_option("B", options->second, "Job or run folder")->required()->type_name("");
  verb->footer(
      "Compares the samples of every step, and digests of gradients and weights of\n"
      "those that both recorded.\n"
      "Exit status: 0 equal, 1 different.");
  SetAction(verb, options, session, Diff);
}

}  // namespace ft::client
