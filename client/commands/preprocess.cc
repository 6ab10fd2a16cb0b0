// ftctl preprocess: makes of a published file what a recipe trains on.
#include <string>
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/job/arxiv.h"
#include "client/session/output.h"
#include "core/base/counted.h"
#include "nlohmann/json.hpp"

namespace ft::client {
namespace {

struct ArxivOptions {
  std::string source, target;
  ArxivChoice choice;
};

StatusOr<int> Arxiv(const ArxivOptions& options, Session& session) {
  ASSIGN_OR_RETURN(const ArxivCounts counts, PreprocessArxiv(options.source, options.target, options.choice));
  if (session.json()) {
    const nlohmann::ordered_json answer = {{"records", counts.records},
                                           {"kept", counts.kept},
                                           {"broken_lines", counts.all_broken},
                                           {"file", options.target}};
    PrintLine(answer.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return kExitOk;
  }
  for (const int64_t line : counts.broken)
    PrintNotice(
        session.InLanguage(StrCat(options.source, " line ", line, ": is no JSON object and left out")));
  if (counts.all_broken > static_cast<int64_t>(counts.broken.size()))
    PrintNotice(session.InLanguage(StrCat("and ", counts.all_broken - std::ssize(counts.broken), " more")));
  PrintLine(session.InLanguage(
      StrCat(options.target, ": ", counts.kept, " of ", Counted(counts.records, "record"), " kept")));
  return kExitOk;
}

}  // namespace

void AddPreprocess(CLI::App& root, Session& session) {
  CLI::App* verb =
      root.add_subcommand("preprocess", "Make a recipe's data of a published file")->group(kGroupTrain);
  verb->require_subcommand(1);
  auto options = std::make_shared<ArxivOptions>();
  CLI::App* arxiv = verb->add_subcommand("arxiv", "Titles and abstracts by category and date");
  arxiv->add_option("SRC", options->source, "Kaggle's file of Cornell-University/arxiv")
      ->required()
      ->type_name("");
  arxiv->add_option("DST", options->target, "File to write")->required()->type_name("");
  arxiv->add_option("--categories", options->choice.categories, "One of them is enough (cs.AI cs.CL cs.CV)")
      ->type_name("NAME");
  arxiv->add_option("--start-date", options->choice.start_date, "Changed since (2020-01-01)")
      ->type_name("DATE");
  SetAction(arxiv, options, session, Arxiv);
  verb->footer("Example: ftctl preprocess arxiv snapshot.json data/arxiv_data.json");
}

}  // namespace ft::client
