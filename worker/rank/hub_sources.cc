#include "worker/rank/hub_sources.h"

#include <cstdlib>

#include "core/hub/fetch.h"
#include "core/hub/pins.h"
#include "worker/rank/failure.h"

namespace ft::rank {
namespace {

using recipe::RepositoryKind;

std::string_view FetchFailureClass(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable: return "NETWORK";
    case absl::StatusCode::kResourceExhausted: return "CHECKPOINT_IO";
    case absl::StatusCode::kDataLoss: return "DATA";
    default: return "CONFIG";
  }
}

// One source after the other, of one attempt.
class SourceFetcher {
 public:
  SourceFetcher(const hub::Access& access, Attempt& attempt, Reporter& reporter)
      : access_(access), attempt_(attempt), reporter_(reporter), pins_(hub::ReadPins(attempt.run.run_dir)) {}

  Status FetchModel() {
    std::string& source = attempt_.spec.model.source;
    if (!recipe::IsHubSource(source)) return absl::OkStatus();
    ASSIGN_OR_RETURN(const hub::Fetched fetched, Fetch("model.source", source, RepositoryKind::kModel, {}));
    source = fetched.folder.string();
    return absl::OkStatus();
  }

  Status FetchData(size_t index) {
    const recipe::DataSource& data = attempt_.spec.data[index];
    if (!recipe::IsHubSource(data.source)) return absl::OkStatus();
    ASSIGN_OR_RETURN(const hub::Fetched fetched,
                     Fetch(StrCat("data[", index, "].source"), data.source, RepositoryKind::kDataset,
                           {.subset = data.subset, .folder = data.folder, .split = data.split}));
    for (const hub::HubFile& file : fetched.files)
      attempt_.sources.data[index].push_back(fetched.folder / file.path);
    return absl::OkStatus();
  }

 private:
  StatusOr<hub::Fetched> Fetch(const std::string& key, const std::string& source, RepositoryKind kind,
                               const hub::DataPart& part) {
    const StatusOr<recipe::HubSource> parsed = recipe::ParseHubSource(source, kind);
    if (!parsed.ok()) return WithClass(WithContext(parsed.status(), key), "CONFIG");
    const hub::Pin* pin = hub::FindPin(pins_, source);
    hub::FetchRequest request{.source = *parsed,
                              .part = part,
                              .version = pin == nullptr ? "" : pin->version,
                              .access = access_,
                              .progress = [this](const hub::Progress& progress) {
                                reporter_.Downloaded(progress.bytes, progress.total_bytes);
                              }};
    reporter_.Downloaded(0, 0);
    StatusOr<hub::Fetched> fetched = hub::Fetch(request);
    if (!fetched.ok())
      return WithClass(WithContext(fetched.status(), key), FetchFailureClass(fetched.status()));
    attempt_.sources.caches.push_back(fetched->cache);
    RETURN_IF_ERROR(WithClass(Keep(source, *fetched), "CHECKPOINT_IO"));
    Tell(key, source, *fetched);
    return fetched;
  }

  // All ranks of a gang find the same, so it does not matter which of them writes last.
  Status Keep(const std::string& source, const hub::Fetched& fetched) {
    const hub::Pin pin{.source = source, .version = fetched.version, .folder = fetched.folder};
    const hub::Pin* known = hub::FindPin(pins_, source);
    if (known != nullptr && *known == pin) return absl::OkStatus();
    std::erase_if(pins_, [&](const hub::Pin& other) { return other.source == source; });
    pins_.push_back(pin);
    return hub::WritePins(attempt_.run.run_dir, pins_);
  }

  void Tell(const std::string& key, const std::string& source, const hub::Fetched& fetched) {
    const std::string line =
        StrCat(key, ": ", source, " is version ", fetched.version, ": ", hub::SizeSentence(fetched));
    attempt_.sources.lines.push_back(line);
    if (fetched.missing_bytes > 0) reporter_.Note("INFO", "SOURCE_DOWNLOADED", line);
  }

  const hub::Access& access_;
  Attempt& attempt_;
  Reporter& reporter_;
  std::vector<hub::Pin> pins_;
};

}  // namespace

StatusOr<hub::Access> TakeHubAccess() {
  const hub::Variables variables = hub::ProcessVariables();
  const std::optional<std::string> given = variables(hub::kAccessVariable);
  if (!given) return hub::Access{.settings = hub::SettingsOf(variables)};
  ::unsetenv(hub::kAccessVariable);
  return hub::AccessFromJson(*given);
}

Status FetchSources(const hub::Access& access, Attempt& attempt, Reporter& reporter) {
  attempt.sources.data.resize(attempt.spec.data.size());
  SourceFetcher fetcher(access, attempt, reporter);
  RETURN_IF_ERROR(fetcher.FetchModel());
  for (size_t i = 0; attempt.run.kind == "PREPARE" && i < attempt.spec.data.size(); ++i)
    RETURN_IF_ERROR(fetcher.FetchData(i));
  return absl::OkStatus();
}

}  // namespace ft::rank
