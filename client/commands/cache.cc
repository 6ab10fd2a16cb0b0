// ftctl cache: what this machine keeps of model hubs: shown, removed, fetched beforehand.
#include <utility>
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/render/table.h"
#include "client/render/units.h"
#include "client/session/output.h"
#include "client/transfer/hub_sources.h"
#include "core/hub/cache.h"
#include "nlohmann/json.hpp"

namespace ft::client {
namespace {

using Json = nlohmann::ordered_json;
using recipe::RepositoryKind;

struct ListOptions {};

struct SourceOptions {
  std::string source;
  hub::DataPart part;
  bool without_weights = false;
};

// hf://datasets/OWNER/NAME is a data set's, all else a model's.
StatusOr<recipe::HubSource> SourceOf(const std::string& text) {
  if (!recipe::IsHubSource(text)) {
    return absl::InvalidArgumentError(
        StrCat("'", text,
               "' is no address of a hub: write hf://OWNER/NAME, modelscope://OWNER/NAME, "
               "and for data hf://datasets/OWNER/NAME"));
  }
  const bool data = text.find("://datasets/") != std::string::npos;
  return recipe::ParseHubSource(text, data ? RepositoryKind::kDataset : RepositoryKind::kModel);
}

// As it is written for `ftctl cache`.
std::string TextOf(const recipe::HubSource& source) {
  std::string text = recipe::ToText(source);
  if (source.kind == RepositoryKind::kDataset) text.insert(text.find("://") + 3, "datasets/");
  return text;
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) StrAppend(&text, text.empty() ? "" : ", ", word);
  return text;
}

void PrintJson(const Json& value) { PrintLine(value.dump(2, ' ', false, Json::error_handler_t::replace)); }

StatusOr<int> List(const ListOptions&, Session& session) {
  const std::vector<hub::CachedRepository> kept = hub::ListRepositories(session.hub.settings);
  if (session.json()) {
    Json list = Json::array();
    for (const hub::CachedRepository& repository : kept) {
      list.push_back({{"source", TextOf(repository.source)},
                      {"folder", repository.folder.string()},
                      {"revisions", repository.revisions},
                      {"bytes", repository.bytes},
                      {"unfinished_bytes", repository.partial_bytes}});
    }
    PrintJson(list);
    return kExitOk;
  }
  if (kept.empty()) {
    PrintNotice(session.Localized(Text::kCacheEmpty, session.hub.settings.huggingface_cache.string(),
                                  session.hub.settings.modelscope_cache.string()));
    return kExitOk;
  }
  Table table({{.title = Text::kColumnSource},
               {.title = Text::kColumnRevision, .may_cut = true},
               {.title = Text::kColumnSize, .align = Align::kRight},
               {.title = Text::kColumnUnfinished, .align = Align::kRight},
               {.title = Text::kColumnUsed, .align = Align::kRight}});
  for (const hub::CachedRepository& repository : kept) {
    const double age = absl::ToDoubleSeconds(absl::Now() - repository.used);
    table.AddRow({TextOf(repository.source), Joined(repository.revisions), FormatBytes(repository.bytes),
                  repository.partial_bytes == 0 ? "-" : FormatBytes(repository.partial_bytes),
                  FormatDuration(age)});
  }
  Print(table.Render(session.terminal));
  return kExitOk;
}

StatusOr<int> Remove(const SourceOptions& options, Session& session) {
  ASSIGN_OR_RETURN(const recipe::HubSource source, SourceOf(options.source));
  int64_t bytes = 0;
  for (const hub::CachedRepository& repository : hub::ListRepositories(session.hub.settings)) {
    if (TextOf(repository.source) == TextOf({source.hub, source.kind, source.repository, ""}))
      bytes = repository.bytes + repository.partial_bytes;
  }
  RETURN_IF_ERROR(hub::RemoveRepository(session.hub.settings, source));
  PrintLine(session.Localized(Text::kCacheRemoved, options.source, FormatBytes(bytes)));
  return kExitOk;
}

StatusOr<int> Fetch(const SourceOptions& options, Session& session) {
  hub::FetchRequest request{.part = options.part, .without_weights = options.without_weights};
  ASSIGN_OR_RETURN(request.source, SourceOf(options.source));
  ASSIGN_OR_RETURN(const hub::Fetched fetched, FetchShown(session, std::move(request)));
  if (session.json()) {
    Json files = Json::array();
    for (const hub::HubFile& file : fetched.files)
      files.push_back({{"path", file.path}, {"size", file.size}, {"sha256", file.sha256}});
    PrintJson({{"folder", fetched.folder.string()},
               {"version", fetched.version},
               {"bytes", fetched.bytes},
               {"downloaded_bytes", fetched.missing_bytes},
               {"files", files}});
    return kExitOk;
  }
  PrintNotice(
      session.Localized(Text::kDownloaded, options.source, fetched.version, FormatBytes(fetched.bytes)));
  PrintLine(fetched.folder.string());
  return kExitOk;
}

void AddSource(CLI::App* verb, SourceOptions& options) {
  verb->add_option("SOURCE", options.source, "hf:// or modelscope:// address, with datasets/ for data")
      ->required()
      ->type_name("");
}

}  // namespace

void AddCache(CLI::App& root, Session& session) {
  CLI::App* cache = root.add_subcommand("cache", "What is kept here of model hubs")->group(kGroupMachine);
  cache->require_subcommand(1);
  CLI::App* list = cache->add_subcommand("list", "Models and data, their sizes and revisions");
  SetAction(list, std::make_shared<ListOptions>(), session, List);
  auto removed = std::make_shared<SourceOptions>();
  CLI::App* remove = cache->add_subcommand("remove", "Remove a model or data set, all revisions");
  AddSource(remove, *removed);
  SetAction(remove, removed, session, Remove);
  auto fetched = std::make_shared<SourceOptions>();
  CLI::App* fetch = cache->add_subcommand("fetch", "Download it now, for instance before going offline");
  AddSource(fetch, *fetched);
  fetch->add_option("--subset", fetched->part.subset, "Of data: its configuration")->type_name("NAME");
  fetch->add_option("--folder", fetched->part.folder, "Of data: only what lies below it")->type_name("PATH");
  fetch->add_option("--split", fetched->part.split, "Of data: its split (train)")->type_name("NAME");
  fetch->add_flag("--without-weights", fetched->without_weights, "Of a model: all but its weights");
  SetAction(fetch, fetched, session, Fetch);
  cache->footer(
      "The caches are those of the Python clients: HF_HUB_CACHE, MODELSCOPE_CACHE.\n"
      "Examples:\n"
      "  ftctl cache fetch hf://Qwen/Qwen2.5-0.5B-Instruct\n"
      "  ftctl cache fetch modelscope://datasets/damo/MSAgent-Bench\n"
      "  ftctl cache remove hf://Qwen/Qwen2.5-0.5B-Instruct");
}

}  // namespace ft::client
