// Records of ranks in `<data>/jobs/<job>/e<epoch>/rank<r>/records.ftr`, made durable in groups: what comes
// within a few milliseconds goes into the journal with one sync, then to the ranks' files, then its senders
// are told (decision 60).
//
// Append() is called on any thread; it wakes the store's thread, that of the context, once for a group. The
// rest runs there, but for the constructor and Recover().
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/base/status.h"
#include "finetune/worker/v1/worker.pb.h"
#include "server/spool/journal.h"
#include "server/spool/recent.h"

namespace ft::spool {

namespace wpb = finetune::worker::v1;

class RecordStore {
 public:
  using Done = std::function<void(const Status&)>;

  // Where more than a few ranks send, a group is what comes in this time; a few are synced as they come.
  static constexpr std::chrono::milliseconds kGather{5};
  static constexpr size_t kFewRanks = 3;
  // What waits: batches, and their bytes in one sync.
  static constexpr size_t kQueueLimit = 4096;
  static constexpr size_t kSyncBytes = 1 << 20;
  static constexpr size_t kOpenFiles = 64;
  // Ranks whose file is known to end where we left it, so that it need not be read to go on.
  static constexpr size_t kKnownRanks = 16384;

  RecordStore(const std::filesystem::path& root, boost::asio::io_context& context, SyncFile sync = SyncData)
      : root_(root), context_(context), timer_(context), journal_(root, std::move(sync)) {}

  // Once, before anything else: what was acknowledged and is not in its file yet, of jobs that `lives` knows.
  Status Recover(const std::function<bool(const std::string& job_id)>& lives) {
    return journal_.Recover(lives);
  }

  // Appends those records that follow the file's last sequence. `done` is called on the store's thread when
  // all of them that were taken are durable and can be read, or with why they are not; then the sender sends
  // them again. Until then `ref` and `records` stay. RESOURCE_EXHAUSTED at once when too much waits already;
  // then `done` is not called.
  Status Append(const wpb::RankRef& ref, const std::vector<wpb::RankRecord>& records, Done done);
  // What waits is made durable now.
  void Commit();
  // The job's files are about to go.
  void Forget(const std::string& job_id);
  // Everything into the ranks' files, durably: no journal is left.
  Status Close();

 private:
  struct Waiting {
    const wpb::RankRef* ref;
    const std::vector<wpb::RankRecord>* records;
    Done done;
  };
  // Where a rank's file ends once the group is written.
  struct Tail {
    uint64_t length = 0;
    uint64_t last_sequence = 0;
  };
  // What of a batch is new.
  struct Batch {
    const Waiting* from;
    std::string rank;  // Its folder below jobs/.
    uint64_t offset = 0;
    std::string frames;
  };

  void CommitInTime();
  // Begins the next window where the last has ended.
  void MoveWindow();
  StatusOr<Tail*> TailOf(const wpb::RankRef& ref, const std::string& rank);
  Status Take(Batch* batch);
  void WriteGroup(const std::vector<Batch>& group);
  Status WriteJournal(const std::vector<Batch>& group);
  // To the rank's own file. After an error nothing is known of the file any more.
  Status WriteFile(const Batch& batch);
  StatusOr<int> OpenFile(const std::string& rank);
  void ForgetRank(const std::string& rank);

  const std::filesystem::path root_;
  boost::asio::io_context& context_;
  std::mutex mutex_;              // Guards waiting_.
  std::vector<Waiting> waiting_;  // Not empty = CommitInTime() or Commit() comes.

  // The store's thread.
  boost::asio::steady_timer timer_;
  std::chrono::steady_clock::time_point window_end_;  // End of the kGather window, when groups are committed.
  bool few_ = true;                                   // Sent in the window before.
  std::set<std::string> senders_;                     // Ranks of this window.
  Journal journal_;
  Recent<Tail> tails_{kKnownRanks};
  Recent<UniqueFd> files_{kOpenFiles};
};

}  // namespace ft::spool
