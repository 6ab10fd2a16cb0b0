#include "core/hub/cache.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/sha256.h"
#include "nlohmann/json.hpp"

namespace ft::hub {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using recipe::Hub;
using recipe::HubSource;
using recipe::RepositoryKind;

constexpr uint64_t kLargestListing = 256 << 20;
constexpr std::string_view kPartialMark = ".finetuned-";

std::string WithHyphens(const std::string& repository) {
  std::string name = repository;
  const size_t slash = name.find('/');
  if (slash != std::string::npos) name.replace(slash, 1, "--");
  return name;
}

std::string KindName(RepositoryKind kind) { return kind == RepositoryKind::kModel ? "models" : "datasets"; }

const fs::path& CacheOf(const Settings& settings, Hub hub) {
  return hub == Hub::kHuggingFace ? settings.huggingface_cache : settings.modelscope_cache;
}

// The name of ModelScope's own lock of a file.
std::string ModelScopeLock(const HubSource& source, const std::string& path) {
  const char* kind = source.kind == RepositoryKind::kModel ? "model" : "dataset";
  const char zero[] = {'\0'};
  const std::string_view separator(zero, 1);
  const std::string key = StrCat("modelscope-hub-download-lock-v2", separator, "file", separator, kind,
                                 separator, source.repository, separator, path);
  return StrCat("file_", Hex(Sha256Of(key)), ".lock");
}

int64_t ModifiedNanos(const fs::path& path) {
  std::error_code error;
  const auto time = fs::last_write_time(path, error);
  return error ? -1 : time.time_since_epoch().count();
}

StatusOr<std::string> GitDigest(const fs::path& path, const std::stop_token& stop) {
  ASSIGN_OR_RETURN(const RandomAccessFile file, RandomAccessFile::Open(path));
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha1(), nullptr);
  const std::string head = StrCat("blob ", file.size(), std::string_view("\0", 1));
  EVP_DigestUpdate(context.get(), head.data(), head.size());
  std::vector<std::byte> buffer(1 << 20);
  for (uint64_t offset = 0; offset < file.size();) {
    if (stop.stop_requested()) return absl::CancelledError("asked to stop");
    const std::span<std::byte> piece(buffer.data(), std::min<uint64_t>(buffer.size(), file.size() - offset));
    RETURN_IF_ERROR(file.ReadAt(offset, piece));
    EVP_DigestUpdate(context.get(), piece.data(), piece.size());
    offset += piece.size();
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(context.get(), digest, &size);
  std::string text;
  constexpr char kDigits[] = "0123456789abcdef";
  for (unsigned i = 0; i < size; ++i) {
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

// Adds up a folder; links count nothing, what they lead to does.
void AddUp(const fs::path& folder, CachedRepository* repository) {
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    if (it->is_symlink(gone) || !it->is_regular_file(gone)) continue;
    const auto size = static_cast<int64_t>(it->file_size(gone));
    if (gone) continue;
    const std::string name = it->path().filename().string();
    const bool partial = name.find(kPartialMark) != std::string::npos || name.ends_with(".incomplete");
    (partial ? repository->partial_bytes : repository->bytes) += size;
    const auto changed = std::chrono::file_clock::to_sys(it->last_write_time(gone));
    if (!gone)
      repository->used =
          std::max(repository->used,
                   absl::FromChrono(std::chrono::time_point_cast<std::chrono::microseconds>(changed)));
  }
}

// The names of all files below, or of all folders right below.
std::vector<std::string> NamesBelow(const fs::path& folder, bool files) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    if (it->is_directory(gone) != files) names.push_back(it->path().lexically_relative(folder).string());
    if (!files) it.disable_recursion_pending();
  }
  std::sort(names.begin(), names.end());
  return names;
}

void AddRepositories(const fs::path& folder, std::string_view prefix, Hub hub, RepositoryKind kind,
                     std::vector<CachedRepository>* found) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    std::string name = it->path().filename().string();
    if (!name.starts_with(prefix) || it->is_symlink(gone) || !it->is_directory(gone)) continue;
    name.erase(0, prefix.size());
    if (const size_t hyphens = name.find("--"); hyphens != std::string::npos) name.replace(hyphens, 2, "/");
    const char* scheme = hub == Hub::kHuggingFace ? "hf://" : "modelscope://";
    const StatusOr<HubSource> source = recipe::ParseHubSource(StrCat(scheme, name), kind);
    if (!source.ok()) continue;  // Of an older layout, or nothing of ours.
    CachedRepository repository{.source = *source, .folder = it->path(), .used = absl::UnixEpoch()};
    repository.revisions = hub == Hub::kHuggingFace ? NamesBelow(it->path() / "refs", /*files=*/true)
                                                    : NamesBelow(it->path() / "snapshots", /*files=*/false);
    AddUp(it->path(), &repository);
    found->push_back(std::move(repository));
  }
}

bool IsLocked(const fs::path& lock) {
  const UniqueFd fd(::open(lock.c_str(), O_RDWR | O_CLOEXEC));
  return fd.valid() && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace

RepositoryCache::RepositoryCache(const Settings& settings, const HubSource& source)
    : source_(source), cache_(CacheOf(settings, source.hub)) {
  const std::string name = WithHyphens(source.repository), kind = KindName(source.kind);
  if (source.hub == Hub::kHuggingFace) {
    folder_name_ = StrCat(kind, "--", name);
    folder_ = cache_ / folder_name_;
  } else {
    folder_ = cache_ / kind / name;
  }
}

fs::path RepositoryCache::Destination(const HubFile& file, const std::string& version) const {
  return source_.hub == Hub::kHuggingFace ? folder_ / "blobs" / file.digest() : Snapshot(version) / file.path;
}

fs::path RepositoryCache::Partial(const HubFile& file) const {
  if (source_.hub == Hub::kHuggingFace) return folder_ / "blobs" / StrCat(file.digest(), kPartialMark);
  // Equal contents of two paths are two files there.
  const std::string of_path = Hex(Sha256Of(file.path)).substr(0, 16);
  return folder_ / ".finetuned" / StrCat(file.digest(), "-", of_path, kPartialMark);
}

fs::path RepositoryCache::LockFile(const HubFile& file) const {
  if (source_.hub == Hub::kModelScope) return cache_ / ".lock" / ModelScopeLock(source_, file.path);
  return cache_ / ".locks" / folder_name_ / StrCat(file.digest(), ".lock");
}

fs::path RepositoryCache::UseLockFile() const {
  if (source_.hub == Hub::kHuggingFace) return cache_ / ".locks" / folder_name_ / "finetuned.lock";
  return cache_ / ".lock" /
         StrCat("finetuned_", folder_.parent_path().filename().string(), "_", folder_.filename().string(),
                ".lock");
}

std::optional<std::string> RepositoryCache::CommitOf(const std::string& revision) const {
  const StatusOr<std::string> commit = ReadFile(folder_ / "refs" / revision, 64);
  const bool whole = commit.ok() && commit->size() == 40 &&
                     commit->find_first_not_of("0123456789abcdef") == std::string::npos;
  return whole ? std::optional(*commit) : std::nullopt;
}

Status RepositoryCache::WriteRef(const std::string& revision, const std::string& commit) const {
  if (CommitOf(revision) == commit) return absl::OkStatus();
  const fs::path path = folder_ / "refs" / revision;
  RETURN_IF_ERROR(MakeDirectories(path.parent_path()));
  return WriteFileDurably(path, commit);
}

fs::path RepositoryCache::CheckedPath(const HubFile& file, const std::string& version) const {
  return folder_ / ".finetuned" / version / StrCat(file.sha256, ".checked");
}

std::optional<std::vector<HubFile>> RepositoryCache::Listing(const std::string& version) const {
  const fs::path folder = folder_ / (source_.hub == Hub::kHuggingFace ? "trees" : ".finetuned");
  const StatusOr<std::string> text = ReadFile(folder / StrCat(version, ".json"), kLargestListing);
  if (!text.ok()) return std::nullopt;
  StatusOr<std::vector<HubFile>> files = ParseTreeText(*text);
  return files.ok() ? std::optional(*std::move(files)) : std::nullopt;
}

Status RepositoryCache::WriteListing(const std::string& version, const std::vector<HubFile>& files) const {
  const fs::path folder = folder_ / (source_.hub == Hub::kHuggingFace ? "trees" : ".finetuned");
  const fs::path path = folder / StrCat(version, ".json");
  RETURN_IF_ERROR(MakeDirectories(path.parent_path()));
  return WriteFileDurably(path, TreeText(files));
}

std::optional<fs::path> RepositoryCache::OlderFolder() const {
  if (source_.hub != Hub::kModelScope) return std::nullopt;
  const size_t slash = source_.repository.find('/');
  std::string name = source_.repository.substr(slash + 1);
  for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot))
    name.replace(dot, 1, "___");
  const fs::path below = fs::path(KindName(source_.kind)) / source_.repository.substr(0, slash) / name;
  std::error_code error;
  for (const fs::path& folder : {cache_ / below, cache_ / "hub" / below}) {
    if (fs::is_directory(folder, error)) return folder;
  }
  return std::nullopt;
}

StatusOr<bool> RepositoryCache::Has(const HubFile& file, const std::string& version,
                                    const std::stop_token& stop) const {
  const fs::path path = Snapshot(version) / file.path;
  std::error_code error;
  const auto size = static_cast<int64_t>(fs::file_size(path, error));
  if (error || size != file.size) return false;
  if (source_.hub == Hub::kHuggingFace) {
    // A link is made to a whole blob only, and the blob's name is its digest; a copy, where links cannot be, is its own.
    const fs::path target = fs::read_symlink(path, error);
    return error || target.filename() == file.digest();
  }
  const StatusOr<std::string> checked = ReadFile(CheckedPath(file, version), 64);
  if (checked.ok() && *checked == StrCat(ModifiedNanos(path))) return true;
  const Status right = CheckDigest(path, file, stop);
  if (absl::IsDataLoss(right)) return false;
  RETURN_IF_ERROR(right);
  RETURN_IF_ERROR(Publish(file, version));
  return true;
}

Status RepositoryCache::Publish(const HubFile& file, const std::string& version) const {
  const fs::path path = Snapshot(version) / file.path;
  RETURN_IF_ERROR(MakeDirectories(path.parent_path()));
  if (source_.hub == Hub::kModelScope) {
    RETURN_IF_ERROR(MakeDirectories(CheckedPath(file, version).parent_path()));
    return WriteFileDurably(CheckedPath(file, version), StrCat(ModifiedNanos(path)));
  }
  const fs::path target = Destination(file, version).lexically_relative(path.parent_path());
  const fs::path beside = path.string() + StrCat(kPartialMark, "link-", ::getpid());
  std::error_code error;
  fs::remove(beside, error);
  if (::symlink(target.c_str(), beside.c_str()) != 0) return ErrnoStatus("link", path, errno);
  if (::rename(beside.c_str(), path.c_str()) != 0) return ErrnoStatus("link", path, errno);
  return SyncDirectory(path.parent_path());
}

std::vector<HubFile> FilesBelow(const fs::path& snapshot) {
  std::vector<HubFile> files;
  for (const std::string& name : NamesBelow(snapshot, /*files=*/true)) {
    std::error_code error;
    const auto size = static_cast<int64_t>(fs::file_size(snapshot / name, error));
    const bool partial = name.find(kPartialMark) != std::string::npos || name.ends_with(".incomplete");
    if (!error && !partial && IsCleanPath(name)) files.push_back({.path = name, .size = size});
  }
  return files;
}

Status CheckDigest(const fs::path& path, const HubFile& file, const std::stop_token& stop) {
  std::string found;
  if (file.sha256.empty()) {
    ASSIGN_OR_RETURN(found, GitDigest(path, stop));
  } else {
    ASSIGN_OR_RETURN(const Digest digest, Sha256OfFile(path, stop));
    found = Hex(digest);
  }
  if (found == file.digest()) return absl::OkStatus();
  return absl::DataLossError(
      StrCat(file.path, " came with digest ", found, ", and the hub says ", file.digest()));
}

std::vector<CachedRepository> ListRepositories(const Settings& settings) {
  std::vector<CachedRepository> found;
  const fs::path& hf = settings.huggingface_cache;
  const fs::path& ms = settings.modelscope_cache;
  AddRepositories(hf, "models--", Hub::kHuggingFace, RepositoryKind::kModel, &found);
  AddRepositories(hf, "datasets--", Hub::kHuggingFace, RepositoryKind::kDataset, &found);
  AddRepositories(ms / "models", "", Hub::kModelScope, RepositoryKind::kModel, &found);
  AddRepositories(ms / "datasets", "", Hub::kModelScope, RepositoryKind::kDataset, &found);
  std::sort(found.begin(), found.end(),
            [](const CachedRepository& a, const CachedRepository& b) { return a.folder < b.folder; });
  return found;
}

Status RemoveRepository(const Settings& settings, const HubSource& source) {
  const RepositoryCache cache(settings, source);
  std::error_code error;
  if (!fs::is_directory(cache.folder(), error)) {
    return absl::NotFoundError(StrCat(recipe::ToText(source), " is not in the cache ",
                                      CacheOf(settings, source.hub).string(),
                                      ": `ftctl cache list` shows what is"));
  }
  if (IsLocked(cache.UseLockFile())) {
    return absl::FailedPreconditionError(
        StrCat(recipe::ToText(source), " is being downloaded: stop that first"));
  }
  // In one step, so that nobody finds half of it.
  const fs::path away = cache.folder().string() + StrCat(kPartialMark, "removed-", ::getpid());
  if (::rename(cache.folder().c_str(), away.c_str()) != 0)
    return ErrnoStatus("remove", cache.folder(), errno);
  fs::remove_all(away, error);
  if (error) return ErrnoStatus("remove", away, error.value());
  if (source.hub == Hub::kHuggingFace) fs::remove_all(cache.UseLockFile().parent_path(), error);
  return absl::OkStatus();
}

}  // namespace ft::hub
