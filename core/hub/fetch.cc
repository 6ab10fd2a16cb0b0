#include "core/hub/fetch.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/base/counted.h"
#include "core/base/excerpt.h"
#include "core/hub/client.h"
#include "core/hub/partial.h"
#include "core/hub/repository.h"

namespace ft::hub {
namespace {

namespace fs = std::filesystem;
using recipe::Hub;

constexpr std::chrono::milliseconds kTellEvery{200};
constexpr std::chrono::milliseconds kLookAtLock{200};
// Left free for everything else that writes to the same disk.
constexpr int64_t kSpareBytes = int64_t{64} << 20;

bool IsCommit(std::string_view text) {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

StatusOr<std::vector<HubFile>> WantedOf(const FetchRequest& request, const std::vector<HubFile>& files) {
  if (request.source.kind == recipe::RepositoryKind::kDataset) return WantedOfData(files, request.part);
  ASSIGN_OR_RETURN(std::vector<HubFile> wanted, WantedOfModel(files));
  if (request.without_weights)
    std::erase_if(wanted, [](const HubFile& file) { return IsWeights(file.path); });
  return wanted;
}

StatusOr<std::vector<HubFile>> NamedWantedOf(const FetchRequest& request, const std::vector<HubFile>& files) {
  StatusOr<std::vector<HubFile>> wanted = WantedOf(request, files);
  if (!wanted.ok())
    return absl::InvalidArgumentError(StrCat(recipe::ToText(request.source), " ", Message(wanted.status())));
  return wanted;
}

int64_t BytesOf(const std::vector<HubFile>& files) {
  int64_t bytes = 0;
  for (const HubFile& file : files) bytes += file.size;
  return bytes;
}

// One fetch: its work on one thread, its progress told on another.
class Fetcher {
 public:
  Fetcher(const FetchRequest& request, bool download)
      : request_(request),
        download_(download),
        cache_(request.access.settings, request.source),
        cache_folder_(request.source.hub == Hub::kHuggingFace ? request.access.settings.huggingface_cache
                                                              : request.access.settings.modelscope_cache) {}

  StatusOr<Fetched> Run() {
    if (cache_folder_.empty()) {
      return absl::FailedPreconditionError(
          StrCat(recipe::ToText(request_.source), ": there is no folder to keep it in: set ",
                 request_.source.hub == Hub::kHuggingFace ? "HF_HUB_CACHE" : "MODELSCOPE_CACHE",
                 " (of a worker, hub_cache)"));
    }
    if (request_.access.settings.offline) return Offline();
    StatusOr<Fetched> result = absl::InternalError("not run");
    {
      std::jthread work([&] {
        result = Online();
        const std::lock_guard lock(mutex_);
        ended_ = true;
        wake_.notify_all();
      });
      TellUntilEnd();
    }
    return result;
  }

 private:
  void TellUntilEnd() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, kTellEvery, [this] { return ended_; })) {
      Progress progress = progress_;
      if (progress.phase == Progress::Phase::kDownloading && counts_.checking)
        progress.phase = Progress::Phase::kChecking;
      if (pausing_ > 0) {
        progress.phase = Progress::Phase::kWaitingForHub;
        progress.why = why_;
      }
      progress.bytes += counts_.bytes;
      lock.unlock();
      if (request_.progress) request_.progress(progress);
      lock.lock();
    }
  }

  void Tell(Progress::Phase phase, std::string_view file = "", std::string_view why = "") {
    const std::lock_guard lock(mutex_);
    progress_.phase = phase;
    progress_.file = file;
    progress_.why = why;
  }

  Status PauseFor(absl::Duration wait, const std::string& why) {
    std::unique_lock lock(mutex_);
    ++pausing_;
    why_ = why;
    pause_.wait_for(lock, request_.stop, absl::ToChronoMilliseconds(wait), [] { return false; });
    --pausing_;
    return request_.stop.stop_requested() ? absl::CancelledError("asked to stop") : absl::OkStatus();
  }

  StatusOr<Fetched> Online() {
    const std::unique_ptr<Transport> own = request_.transport == nullptr ? MakeCurlTransport() : nullptr;
    Client client(
        {.transport = own == nullptr ? request_.transport : own.get(),
         .access = request_.access,
         .source = request_.source,
         .pause = [this](absl::Duration wait, const std::string& why) { return PauseFor(wait, why); },
         .stop = request_.stop});
    if (!request_.version.empty()) {
      if (const std::optional<Fetched> kept = Kept(request_.version)) return *kept;
    }
    Tell(Progress::Phase::kListing);
    std::string version = request_.version;
    if (version.empty()) {
      ASSIGN_OR_RETURN(version, ResolveRevision(client));
    }
    ASSIGN_OR_RETURN(const std::vector<HubFile> listing, ListingOf(client, version));
    ASSIGN_OR_RETURN(Fetched fetched, Described(listing, version));
    if (!download_) return fetched;
    RETURN_IF_ERROR(WriteListing(version, listing));
    RETURN_IF_ERROR(DownloadMissing(client, version));
    if (request_.source.hub == Hub::kHuggingFace && request_.version.empty() &&
        RevisionOf(request_.source) != version) {
      RETURN_IF_ERROR(cache_.WriteRef(RevisionOf(request_.source), version));
    }
    return fetched;
  }

  // A commit's listing never changes; a branch's does.
  StatusOr<std::vector<HubFile>> ListingOf(Client& client, const std::string& version) {
    if (request_.source.hub == Hub::kHuggingFace) {
      if (auto kept = cache_.Listing(version)) return *std::move(kept);
    }
    return ListFiles(client, version);
  }

  Status WriteListing(const std::string& version, const std::vector<HubFile>& listing) {
    RETURN_IF_ERROR(MakeDirectories(cache_.Snapshot(version)));
    if (request_.source.hub == Hub::kHuggingFace && cache_.Listing(version)) return absl::OkStatus();
    return cache_.WriteListing(version, listing);
  }

  // What is wanted of a listing, and which of it is missing_.
  StatusOr<Fetched> Described(const std::vector<HubFile>& listing, const std::string& version) {
    Fetched fetched{.folder = cache_.Snapshot(version), .cache = cache_folder_, .version = version};
    ASSIGN_OR_RETURN(fetched.files, NamedWantedOf(request_, listing));
    fetched.bytes = BytesOf(fetched.files);
    missing_.clear();
    for (const HubFile& file : fetched.files) {
      ASSIGN_OR_RETURN(const bool has, cache_.Has(file, version, request_.stop));
      if (!has) missing_.push_back(file);
    }
    fetched.missing_bytes = BytesOf(missing_);
    return fetched;
  }

  // Everything under a version that is known, if it is here.
  std::optional<Fetched> Kept(const std::string& version) {
    const auto listing = cache_.Listing(version);
    if (!listing) return std::nullopt;
    const StatusOr<Fetched> fetched = Described(*listing, version);
    return fetched.ok() && missing_.empty() ? std::optional(*fetched) : std::nullopt;
  }

  Status CheckRoom() {
    int64_t needed = 0;
    for (const HubFile& file : missing_) {
      std::error_code none;
      // What is partly here has its room already.
      if (!fs::exists(cache_.Partial(file).string() + "partial", none)) needed += file.size;
    }
    RETURN_IF_ERROR(MakeDirectories(cache_folder_));
    std::error_code error;
    const fs::space_info space = fs::space(cache_folder_, error);
    if (error || needed == 0 || static_cast<int64_t>(space.available) >= needed + kSpareBytes)
      return absl::OkStatus();
    return absl::ResourceExhaustedError(
        StrCat(recipe::ToText(request_.source), " needs ", BytesText(needed), " more in ",
               cache_folder_.string(), ", and ", BytesText(static_cast<int64_t>(space.available)),
               " are free: make room (`ftctl cache list` shows what is kept), or keep it on another disk"));
  }

  Status DownloadMissing(Client& client, const std::string& version) {
    if (missing_.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(CheckRoom());
    ASSIGN_OR_RETURN(const UniqueFd use, OpenLock(cache_.UseLockFile()));
    if (::flock(use.get(), LOCK_SH) != 0) return ErrnoStatus("lock", cache_.UseLockFile(), errno);
    {
      const std::lock_guard lock(mutex_);
      progress_.total_bytes = BytesOf(missing_);
    }
    for (const HubFile& file : missing_) {
      RETURN_IF_ERROR(DownloadOne(client, file, version));
      const std::lock_guard lock(mutex_);
      progress_.bytes += file.size;
      counts_.bytes = 0;
    }
    return absl::OkStatus();
  }

  Status DownloadOne(Client& client, const HubFile& file, const std::string& version) {
    ASSIGN_OR_RETURN(const UniqueFd lock, LockOf(file));
    const fs::path destination = cache_.Destination(file, version);
    std::error_code none;
    const bool is_blob = request_.source.hub == Hub::kHuggingFace;
    ASSIGN_OR_RETURN(bool here, cache_.Has(file, version, request_.stop));
    if (here) return absl::OkStatus();
    if (!is_blob) {
      ASSIGN_OR_RETURN(const bool taken, TakeOlder(file, destination));
      if (taken) return cache_.Publish(file, version);
    }
    if (!is_blob || !fs::exists(destination, none)) {
      Tell(Progress::Phase::kDownloading, file.path);
      const DownloadTask task{.file = file,
                              .address = FileAddress(request_.source, file, version),
                              .partial = cache_.Partial(file),
                              .destination = destination};
      RETURN_IF_ERROR(DownloadFile(client, task, request_.options, counts_, request_.stop));
    }
    return cache_.Publish(file, version);
  }

  // What an older client of ModelScope's has brought, if it is what the hub lists now.
  StatusOr<bool> TakeOlder(const HubFile& file, const fs::path& destination) {
    const std::optional<fs::path> folder = cache_.OlderFolder();
    std::error_code error;
    if (!folder || static_cast<int64_t>(fs::file_size(*folder / file.path, error)) != file.size || error)
      return false;
    const Status right = CheckDigest(*folder / file.path, file, request_.stop);
    if (absl::IsDataLoss(right)) return false;
    RETURN_IF_ERROR(right);
    RETURN_IF_ERROR(MakeDirectories(destination.parent_path()));
    fs::remove(destination, error);
    fs::create_hard_link(*folder / file.path, destination, error);
    return !error;
  }

  StatusOr<UniqueFd> OpenLock(const fs::path& path) {
    RETURN_IF_ERROR(MakeDirectories(path.parent_path()));
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (!fd.valid()) return ErrnoStatus("open", path, errno);
    return fd;
  }

  // The file's lock, once whoever brings it now is done.
  StatusOr<UniqueFd> LockOf(const HubFile& file) {
    ASSIGN_OR_RETURN(UniqueFd fd, OpenLock(cache_.LockFile(file)));
    while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) return ErrnoStatus("lock", cache_.LockFile(file), errno);
      if (request_.stop.stop_requested()) return absl::CancelledError("asked to stop");
      Tell(Progress::Phase::kWaitingForOther, file.path, "another process on this machine downloads it");
      counts_.bytes = PartialFile::NotedBytes(cache_.Partial(file));
      std::this_thread::sleep_for(kLookAtLock);
    }
    counts_.bytes = 0;
    return fd;
  }

  Status NotHere(std::string_view what) const {
    return absl::FailedPreconditionError(
        StrCat(recipe::ToText(request_.source), " is not whole in ", cache_folder_.string(), " (", what,
               "), and hubs are offline here (HF_HUB_OFFLINE, or hub_offline of the worker): run `ftctl "
               "cache fetch ",
               recipe::ToText(request_.source), "` where there is a network, or allow it here"));
  }

  StatusOr<Fetched> Offline() {
    const std::string revision = RevisionOf(request_.source);
    std::optional<std::string> version =
        request_.version.empty() ? std::nullopt : std::optional(request_.version);
    if (!version && (IsCommit(revision) || request_.source.hub == Hub::kModelScope)) version = revision;
    if (!version) version = cache_.CommitOf(revision);
    if (!version) return NotHere("nothing of it was ever downloaded");
    if (const auto listing = cache_.Listing(*version)) {
      ASSIGN_OR_RETURN(const Fetched fetched, Described(*listing, *version));
      if (!missing_.empty()) return NotHere(StrCat(Excerpt(missing_[0].path, 60), " is missing"));
      return fetched;
    }
    // Brought by a client that keeps no listing: what is there is what there is.
    Fetched fetched{.folder = cache_.Snapshot(*version), .cache = cache_folder_, .version = *version};
    std::vector<HubFile> files = FilesBelow(fetched.folder);
    if (const auto older = cache_.OlderFolder(); files.empty() && older) {
      fetched.folder = *older;
      files = FilesBelow(*older);
    }
    if (files.empty()) return NotHere("nothing of it was ever downloaded");
    ASSIGN_OR_RETURN(fetched.files, NamedWantedOf(request_, files));
    fetched.bytes = BytesOf(fetched.files);
    return fetched;
  }

  const FetchRequest& request_;
  const bool download_;
  const RepositoryCache cache_;
  const fs::path cache_folder_;
  std::vector<HubFile> missing_;
  DownloadCounts counts_;
  std::mutex mutex_;  // Guards all below.
  std::condition_variable wake_;
  std::condition_variable_any pause_;
  Progress progress_;  // Without the bytes of the file in hand.
  int pausing_ = 0;    // Requests that wait before another try,
  std::string why_;    // and why the newest does.
  bool ended_ = false;
};

}  // namespace

StatusOr<Fetched> Fetch(const FetchRequest& request) { return Fetcher(request, /*download=*/true).Run(); }
StatusOr<Fetched> PlanFetch(const FetchRequest& request) {
  return Fetcher(request, /*download=*/false).Run();
}

std::string BytesText(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return unit == 0 ? StrCat(bytes, " B") : absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string SizeSentence(const Fetched& fetched) {
  std::string text =
      StrCat(Counted(static_cast<int64_t>(fetched.files.size()), "file"), ", ", BytesText(fetched.bytes));
  if (fetched.missing_bytes > 0)
    StrAppend(&text, ", of them ", BytesText(fetched.missing_bytes), " downloaded");
  return text;
}

}  // namespace ft::hub
