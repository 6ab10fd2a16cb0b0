#include "server/api/disk_trouble.h"

namespace ft::api {
namespace {

// Senders try again every few seconds, so a job that is not heard of for longer has found room.
constexpr absl::Duration kFresh = absl::Seconds(15);
constexpr absl::Duration kLogPause = absl::Minutes(1);
constexpr size_t kMostJobs = 1000;

std::string Sentence(std::string_view what) {
  return StrCat("the disk is full: ", what, "; the job waits for room");
}

}  // namespace

bool DiskTrouble::Note(const std::string& job_id, const Status& status, absl::Time now) {
  const bool full =
      absl::IsResourceExhausted(status) && (Message(status).find("No space left") != std::string_view::npos ||
                                            Message(status).find("disk is full") != std::string_view::npos);
  if (!full) return false;
  const std::lock_guard lock(mutex_);
  std::erase_if(jobs_, [now](const auto& item) { return now - item.second.noted > kLogPause; });
  if (jobs_.size() >= kMostJobs && !jobs_.contains(job_id)) return false;
  Entry& entry = jobs_.try_emplace(job_id).first->second;
  entry.message = Sentence(Message(status));
  entry.noted = now;
  if (now - entry.logged < kLogPause) return false;
  entry.logged = now;
  return true;
}

void DiskTrouble::NoteStore(const std::string& folder, absl::Time now) {
  const std::lock_guard lock(mutex_);
  store_.message = Sentence(StrCat("cannot write into ", folder, ": No space left on device"));
  store_.noted = now;
}

std::string DiskTrouble::Of(const std::string& job_id, absl::Time now) const {
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(job_id);
  const Entry& entry = found == jobs_.end() || now - found->second.noted > kFresh ? store_ : found->second;
  return now - entry.noted > kFresh ? std::string() : entry.message;
}

}  // namespace ft::api
