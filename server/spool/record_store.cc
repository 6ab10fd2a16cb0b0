#include "server/spool/record_store.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "core/records/record_file.h"
#include "server/spool/layout.h"

namespace ft::spool {
namespace {

// Files of a full journal that are synced after each group: few, so that the next group does not wait for all
// of them.
constexpr size_t kSettleFiles = 4;

std::string NameOf(const wpb::RankRef& ref) {
  return StrCat(ref.job_id(), "/e", ref.epoch(), "/rank", ref.rank());
}

}  // namespace

StatusOr<RecordStore::Tail*> RecordStore::TailOf(const wpb::RankRef& ref, const std::string& rank) {
  if (Tail* known = tails_.Find(rank)) return known;
  const std::filesystem::path dir = RankDir(root_, ref.job_id(), ref.epoch(), ref.rank());
  const std::filesystem::path path = dir / kRecordsFile;
  RETURN_IF_ERROR(MakeDirectories(dir));
  // Cuts what is torn, and reads all of it: a file that is damaged takes no more.
  ASSIGN_OR_RETURN(records::FrameWriter frames, records::FrameWriter::Open(path));
  Tail tail;
  if (!frames.existing().empty()) {
    wpb::RankRecord record;
    if (!record.ParseFromString(frames.existing().back()))
      return absl::DataLossError(StrCat(path.string(), ": last record unreadable"));
    tail.last_sequence = record.sequence();
  }
  std::error_code error;
  tail.length = std::filesystem::file_size(path, error);
  if (error) return ErrnoStatus("stat", path, error.value());
  return &tails_.Put(rank, tail);
}

Status RecordStore::Take(Batch* batch) {
  ASSIGN_OR_RETURN(Tail * tail, TailOf(*batch->from->ref, batch->rank));
  uint64_t last = tail->last_sequence;
  for (const wpb::RankRecord& record : *batch->from->records) {
    if (record.sequence() != last + 1) continue;
    RETURN_IF_ERROR(records::AppendFrame(record.SerializeAsString(), &batch->frames));
    last = record.sequence();
  }
  batch->offset = tail->length;
  *tail = {tail->length + batch->frames.size(), last};
  return absl::OkStatus();
}

Status RecordStore::Append(const wpb::RankRef& ref, const std::vector<wpb::RankRecord>& records, Done done) {
  {
    std::lock_guard lock(mutex_);
    if (waiting_.size() >= kQueueLimit) {
      return absl::ResourceExhaustedError(
          "the coordinator's disk is slower than what is sent: retry in a second");
    }
    waiting_.push_back({&ref, &records, std::move(done)});
    if (waiting_.size() > 1) return absl::OkStatus();
  }
  boost::asio::post(context_, [this] { CommitInTime(); });
  return absl::OkStatus();
}

void RecordStore::MoveWindow() {
  const auto now = std::chrono::steady_clock::now();
  if (now < window_end_) return;
  few_ = now - window_end_ > kGather || senders_.size() <= kFewRanks;
  senders_.clear();
  window_end_ = now + kGather;
}

void RecordStore::CommitInTime() {
  const bool few = few_ && senders_.size() <= kFewRanks;
  if (few || std::chrono::steady_clock::now() >= window_end_) {
    Commit();
    return;
  }
  timer_.expires_at(window_end_);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) Commit();
  });
}

void RecordStore::Commit() {
  MoveWindow();
  std::vector<Waiting> waiting;
  {
    std::lock_guard lock(mutex_);
    waiting.swap(waiting_);
  }
  std::vector<Batch> group;
  size_t bytes = 0;
  for (const Waiting& next : waiting) {
    Batch batch{.from = &next, .rank = NameOf(*next.ref)};
    senders_.insert(batch.rank);
    if (const Status taken = Take(&batch); !taken.ok()) {
      next.done(taken);
      continue;
    }
    bytes += batch.frames.size();
    group.push_back(std::move(batch));
    if (bytes < kSyncBytes) continue;
    WriteGroup(std::exchange(group, {}));
    bytes = 0;
  }
  WriteGroup(group);
}

// A batch without news is answered with its group all the same: what it repeats may be in it.
void RecordStore::WriteGroup(const std::vector<Batch>& group) {
  if (group.empty()) return;
  const Status journaled = WriteJournal(group);
  std::map<std::string, Status> refused;
  for (const Batch& batch : group) {
    const auto before = refused.find(batch.rank);
    const Status written = !journaled.ok()           ? journaled
                           : before != refused.end() ? before->second
                                                     : WriteFile(batch);
    if (!written.ok() && before == refused.end()) {
      ForgetRank(batch.rank);
      refused.emplace(batch.rank, written);
    }
    batch.from->done(written);
  }
  if (const Status settled = journal_.Settle(kSettleFiles); !settled.ok())
    spdlog::warn("{}", std::string(Message(settled)));
}

Status RecordStore::WriteJournal(const std::vector<Batch>& group) {
  std::vector<Journal::Entry> entries;
  entries.reserve(group.size());
  for (const Batch& batch : group) {
    const wpb::RankRef& ref = *batch.from->ref;
    entries.push_back({ref.job_id(), ref.epoch(), ref.rank(), batch.offset, batch.frames});
  }
  return journal_.Write(entries);
}

Status RecordStore::WriteFile(const Batch& batch) {
  if (batch.frames.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int fd, OpenFile(batch.rank));
  const std::filesystem::path path = JobsDir(root_) / batch.rank / kRecordsFile;
  struct stat info {};
  if (::fstat(fd, &info) != 0) return ErrnoStatus("stat", path, errno);
  if (static_cast<uint64_t>(info.st_size) != batch.offset) {
    return absl::UnavailableError(StrCat(path.string(), " has ", info.st_size, " bytes and had ",
                                         batch.offset, ": it is read again before more is taken"));
  }
  const Status written = WriteAt(fd, batch.frames, batch.offset, path);
  if (!written.ok() && ::ftruncate(fd, info.st_size) != 0) {
    spdlog::warn("{} has a torn end until it is read again: {}", path.string(), std::strerror(errno));
  }
  return written;
}

StatusOr<int> RecordStore::OpenFile(const std::string& rank) {
  if (const UniqueFd* open = files_.Find(rank)) return open->get();
  const std::filesystem::path path = JobsDir(root_) / rank / kRecordsFile;
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus("open", path, errno);
  return files_.Put(rank, std::move(fd)).get();
}

void RecordStore::ForgetRank(const std::string& rank) {
  tails_.Erase(rank);
  files_.Erase(rank);
}

void RecordStore::Forget(const std::string& job_id) {
  tails_.ErasePrefix(job_id + "/");
  files_.ErasePrefix(job_id + "/");
}

Status RecordStore::Close() {
  Commit();
  return journal_.Close();
}

}  // namespace ft::spool
