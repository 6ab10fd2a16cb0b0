#include "client/transfer/hub_sources.h"

#include <filesystem>
#include <system_error>
#include <vector>

#include "client/render/units.h"
#include "client/session/interrupts.h"
#include "client/session/output.h"
#include "core/hub/pins.h"

namespace ft::client {
namespace {

namespace fs = std::filesystem;
using recipe::RepositoryKind;

// One line that is written over where there is a terminal, else a line now and then.
class ProgressLine {
 public:
  ProgressLine(const Session& session, std::string source) : session_(session), source_(std::move(source)) {}

  void Show(const hub::Progress& progress) {
    const std::string line = LineOf(progress);
    const auto now = std::chrono::steady_clock::now();
    const auto pause = session_.terminal.interactive ? kRedraw : kPlainPause;
    const bool due = progress.phase != phase_ || now - shown_at_ >= pause;
    if (line.empty() || line == shown_ || !due) return;
    phase_ = progress.phase;
    shown_ = line;
    shown_at_ = now;
    PrintNotice(line);
  }

 private:
  static constexpr std::chrono::seconds kRedraw{2}, kPlainPause{10};

  std::string LineOf(const hub::Progress& progress) const {
    switch (progress.phase) {
      case hub::Progress::Phase::kListing: return std::string();
      case hub::Progress::Phase::kWaitingForHub:
        return session_.Localized(Text::kWaitingForHub, session_.InLanguage(progress.why));
      case hub::Progress::Phase::kWaitingForOther:
        return session_.Localized(Text::kDownloadedByOther, progress.file);
      default:
        return session_.Localized(Text::kDownloading, source_, FormatBytes(progress.bytes),
                                  FormatBytes(progress.total_bytes));
    }
  }

  const Session& session_;
  const std::string source_;
  hub::Progress::Phase phase_ = hub::Progress::Phase::kListing;
  std::string shown_;
  std::chrono::steady_clock::time_point shown_at_{};
};

StatusOr<recipe::HubSource> Parsed(const std::string& source, RepositoryKind kind) {
  return recipe::ParseHubSource(source, kind);
}

}  // namespace

StatusOr<hub::Fetched> FetchShown(Session& session, hub::FetchRequest request) {
  const Interrupts interrupts;
  std::stop_source stop;
  ProgressLine line(session, recipe::ToText(request.source));
  request.access = session.hub;
  request.stop = stop.get_token();
  request.progress = [&](const hub::Progress& progress) {
    if (interrupts.count() > 0) stop.request_stop();
    line.Show(progress);
  };
  return hub::Fetch(request);
}

StatusOr<std::string> LocalModel(Session& session, const std::string& source, const fs::path& kept_in) {
  if (!recipe::IsHubSource(source)) return source;
  hub::FetchRequest request;
  ASSIGN_OR_RETURN(request.source, Parsed(source, RepositoryKind::kModel));
  if (!kept_in.empty()) {
    const std::vector<hub::Pin> pins = hub::ReadPins(kept_in);
    if (const hub::Pin* pin = hub::FindPin(pins, source)) {
      std::error_code error;
      if (fs::exists(pin->folder / "config.json", error)) return pin->folder.string();
      request.version = pin->version;
    }
  }
  ASSIGN_OR_RETURN(const hub::Fetched fetched, FetchShown(session, request));
  return fetched.folder.string();
}

StatusOr<recipe::JobSpec> WithLocalSources(Session& session, recipe::JobSpec spec) {
  if (recipe::IsHubSource(spec.model.source)) {
    hub::FetchRequest request{.without_weights = true};
    ASSIGN_OR_RETURN(request.source, Parsed(spec.model.source, RepositoryKind::kModel));
    ASSIGN_OR_RETURN(const hub::Fetched fetched, FetchShown(session, request));
    request.without_weights = false;
    request.access = session.hub;
    const StatusOr<hub::Fetched> whole = hub::PlanFetch(request);
    if (whole.ok() && whole->missing_bytes > 0) {
      PrintNotice(session.Localized(Text::kToDownload, spec.model.source, FormatBytes(whole->bytes),
                                    FormatBytes(whole->missing_bytes)));
    }
    spec.model.source = fetched.folder.string();
  }
  std::vector<recipe::DataSource> sources;
  for (const recipe::DataSource& data : spec.data) {
    if (!recipe::IsHubSource(data.source)) {
      sources.push_back(data);
      continue;
    }
    hub::FetchRequest request{.part = {.subset = data.subset, .folder = data.folder, .split = data.split}};
    ASSIGN_OR_RETURN(request.source, Parsed(data.source, RepositoryKind::kDataset));
    ASSIGN_OR_RETURN(const hub::Fetched fetched, FetchShown(session, request));
    for (const hub::HubFile& file : fetched.files) {
      recipe::DataSource& local = sources.emplace_back(data);
      local.source = (fetched.folder / file.path).string();
      local.subset = local.folder = local.split = "";
    }
  }
  spec.data = std::move(sources);
  return spec;
}

}  // namespace ft::client
