#include "server/spool/journal.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <limits>

#include "core/records/record_file.h"
#include "server/spool/layout.h"

namespace ft::spool {
namespace {

using finetune::store::v1::JournalEntry;

constexpr char kEnding[] = ".ftr";
// Below the limit of a frame, with room for the entry's other fields.
constexpr size_t kPieceBytes = records::kMaxFrameBytes / 2;

std::string RankName(std::string_view job_id, int64_t epoch, int32_t rank) {
  return StrCat(job_id, "/e", epoch, "/rank", rank);
}

Status AddFrames(const Journal::Entry& entry, std::string* out) {
  JournalEntry message;
  message.set_job_id(std::string(entry.job_id));
  message.set_epoch(entry.epoch);
  message.set_rank(entry.rank);
  for (size_t at = 0; at < entry.data.size(); at += kPieceBytes) {
    message.set_offset(static_cast<int64_t>(entry.offset + at));
    message.set_data(std::string(entry.data.substr(at, kPieceBytes)));
    RETURN_IF_ERROR(records::AppendFrame(message.SerializeAsString(), out));
  }
  return absl::OkStatus();
}

// Journals by number.
StatusOr<std::map<int64_t, std::filesystem::path>> List(const std::filesystem::path& dir) {
  std::map<int64_t, std::filesystem::path> found;
  std::error_code error;
  std::filesystem::directory_iterator it(dir, error), end;
  for (; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    int64_t number = 0;
    const auto [stop, bad] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (bad == std::errc() && stop != name.data() && std::string_view(stop) == kEnding)
      found[number] = it->path();
  }
  if (error && error != std::errc::no_such_file_or_directory) return ErrnoStatus("list", dir, error.value());
  return found;
}

}  // namespace

Status Journal::Recover(const std::function<bool(const std::string& job_id)>& lives) {
  ASSIGN_OR_RETURN(const auto journals, List(Dir()));
  if (journals.empty()) return absl::OkStatus();
  for (const auto& [number, path] : journals) {
    full_.push_back({.path = path});
    RETURN_IF_ERROR(Replay(path, lives, &full_.back()));
    next_number_ = number + 1;
  }
  return Settle(std::numeric_limits<size_t>::max());
}

// What follows a frame that is not whole was never synced, so nobody was told of it.
Status Journal::Replay(const std::filesystem::path& path,
                       const std::function<bool(const std::string& job_id)>& lives, File* replayed) {
  ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(path));
  std::string_view rest(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  size_t entries = 0;
  while (true) {
    const StatusOr<std::string_view> frame = records::FrameAt(rest);
    JournalEntry entry;
    if (!frame.ok() || !entry.ParseFromArray(frame->data(), static_cast<int>(frame->size())) ||
        entry.offset() < 0) {
      break;
    }
    rest.remove_prefix(records::kFrameHeaderBytes + frame->size());
    if (!lives(entry.job_id())) continue;
    RETURN_IF_ERROR(WriteAgain(entry));
    bool& is_new = replayed->ranks[RankName(entry.job_id(), entry.epoch(), entry.rank())];
    is_new = is_new || entry.offset() == 0;
    ++entries;
  }
  spdlog::info(
      "{}: {} entries were written to their files again, {} bytes at its end were never acknowledged",
      path.string(), entries, rest.size());
  return absl::OkStatus();
}

Status Journal::WriteAgain(const JournalEntry& entry) {
  const std::filesystem::path dir = RankDir(root_, entry.job_id(), entry.epoch(), entry.rank());
  const std::filesystem::path path = dir / kRecordsFile;
  if (entry.offset() == 0) RETURN_IF_ERROR(MakeDirectories(dir));
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | (entry.offset() == 0 ? O_CREAT : 0), 0644));
  if (!fd.valid() && errno != ENOENT) return ErrnoStatus("open", path, errno);
  struct stat info {};
  if (fd.valid() && ::fstat(fd.get(), &info) != 0) return ErrnoStatus("stat", path, errno);
  if (!fd.valid() || info.st_size < entry.offset()) {
    spdlog::error("{} has {} bytes and had {} when more was written: records of it are lost", path.string(),
                  info.st_size, entry.offset());
    return absl::OkStatus();
  }
  return WriteAt(fd.get(), entry.data(), static_cast<uint64_t>(entry.offset()), path);
}

Status Journal::Write(std::span<const Entry> entries) {
  std::string bytes;
  for (const Entry& entry : entries) RETURN_IF_ERROR(AddFrames(entry, &bytes));
  if (bytes.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(MakeRoom());
  RETURN_IF_ERROR(Append(bytes));
  DieUnless(sync_(fd_.get(), current_.path));
  for (const Entry& entry : entries) {
    bool& is_new = current_.ranks[RankName(entry.job_id, entry.epoch, entry.rank)];
    is_new = is_new || entry.offset == 0;
  }
  return absl::OkStatus();
}

Status Journal::Append(std::string_view bytes) {
  const Status written = WriteAt(fd_.get(), bytes, current_.size, current_.path);
  if (written.ok()) {
    current_.size += bytes.size();
  } else if (::ftruncate(fd_.get(), static_cast<off_t>(current_.size)) != 0) {
    Retire();  // What was torn ends this file.
  }
  return written;
}

Status Journal::MakeRoom() {
  if (fd_.valid() && current_.size < file_bytes_) return absl::OkStatus();
  RETURN_IF_ERROR(Settle(std::numeric_limits<size_t>::max()));
  Retire();
  RETURN_IF_ERROR(MakeDirectories(Dir()));
  current_.path = Dir() / StrCat(next_number_, kEnding);
  fd_ = UniqueFd(::open(current_.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd_.valid()) return ErrnoStatus("create", current_.path, errno);
  ++next_number_;
  DieUnless(SyncDirectory(Dir()));
  DieUnless(SyncDirectory(root_));
  return absl::OkStatus();
}

void Journal::Retire() {
  if (fd_.valid()) full_.push_back(std::move(current_));
  fd_.Reset();
  current_ = {};
}

Status Journal::Settle(size_t files) {
  for (; files > 0 && !full_.empty(); --files) {
    File& oldest = full_.front();
    if (!oldest.ranks.empty()) {
      const auto rank = oldest.ranks.begin();
      RETURN_IF_ERROR(SyncRank(rank->first, rank->second));
      oldest.ranks.erase(rank);
      continue;
    }
    // Its name is gone for good before a newer one goes: an old journal must never be replayed without those
    // after it.
    if (::unlink(oldest.path.c_str()) != 0 && errno != ENOENT)
      return ErrnoStatus("remove", oldest.path, errno);
    DieUnless(SyncDirectory(Dir()));
    full_.pop_front();
  }
  return absl::OkStatus();
}

Status Journal::Close() {
  Retire();
  return Settle(std::numeric_limits<size_t>::max());
}

Status Journal::SyncRank(const std::string& rank, bool is_new) const {
  const std::filesystem::path dir = JobsDir(root_) / rank;
  UniqueFd fd(::open((dir / kRecordsFile).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno == ENOENT ? absl::OkStatus() : ErrnoStatus("open", dir / kRecordsFile, errno);
  DieUnless(sync_(fd.get(), dir / kRecordsFile));
  if (!is_new) return absl::OkStatus();
  // Up to the data folder: rank, attempt, job, jobs.
  std::filesystem::path folder = dir;
  for (int level = 0; level < 5; ++level, folder = folder.parent_path()) {
    const Status synced = SyncDirectory(folder);
    if (!absl::IsNotFound(synced)) DieUnless(synced);
  }
  return absl::OkStatus();
}

}  // namespace ft::spool
