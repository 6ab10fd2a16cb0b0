// Files the coordinator keeps of each job, outside its database: `<data>/jobs/<job>/e<epoch>/rank<r>/` with
// records.ftr, stdout and stderr, and `<data>/jobs/<job>/e<epoch>/adapter/`. Each file belongs to one
// (attempt, epoch, rank), so a stale writer can only touch its own, dead file. What is acknowledged is on
// disk: records perhaps in the journal of all ranks only (server/spool/record_store.h), anything else in its
// file.
//
// All files are touched by the spool's own threads: records and logs by one, to which Run() hands work from
// any thread; adapters and uploads, which may be large, by another, to which RunLarge() does. Both have a
// bound.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/base/file.h"
#include "core/base/status.h"
#include "finetune/v1/logs.pb.h"
#include "finetune/v1/metrics.pb.h"
#include "finetune/worker/v1/worker.pb.h"
#include "server/spool/record_store.h"

namespace ft::spool {

namespace pb = finetune::v1;
namespace wpb = finetune::worker::v1;

// Where a reader of a job's series stands: after `offset` bytes of the records of rank 0 of `epoch`.
struct SeriesCursor {
  int64_t epoch = 1;
  uint64_t offset = 0;
};

struct LogRead {
  std::string job_id;
  int64_t epoch = 0;
  int32_t rank = 0;
  std::string stream;
  int64_t offset = 0;
  size_t max_bytes = 128 << 10;
};

// Bytes that a rank printed, from `offset` on; the node has nothing before `oldest` any more.
struct LogPiece {
  std::string stream;
  int64_t offset = 0;
  int64_t oldest = 0;
  std::string_view data;
};

class Spool {
 public:
  static constexpr size_t kQueueLimit = 4096;

  explicit Spool(std::filesystem::path data_dir) : root_(std::move(data_dir)) {}
  ~Spool() { Stop(); }
  // Before Start(): brings what a crash left in the journal to its files, of jobs that `lives` knows.
  Status Recover(const std::function<bool(const std::string& job_id)>& lives) {
    return store_.Recover(lives);
  }
  void Start();
  void Stop();

  // Runs `work` on the spool's thread. RESOURCE_EXHAUSTED when too much waits.
  Status Run(std::function<void()> work);
  // The same on the thread of large files.
  Status RunLarge(std::function<void()> work);
  boost::asio::io_context& context() { return records_.context; }
  // From any thread: see RecordStore::Append().
  Status AppendRecords(const wpb::RankRef& ref, const std::vector<wpb::RankRecord>& records,
                       RecordStore::Done done) {
    return store_.Append(ref, records, std::move(done));
  }

  // The rest: REQUIRES the thread of records.

  // Appends what lies beyond the stream's end; returns its end. A gap is left to the sender, who gets the end back, unless
  // it begins at the oldest byte that the sender still has: then the file says how much is missing. INVALID_ARGUMENT for
  // numbers beyond kMaxStreamBytes.
  StatusOr<int64_t> AppendLog(const wpb::RankRef& ref, const LogPiece& piece);
  StatusOr<std::string> ReadLog(const LogRead& read) const;
  int64_t LogSize(const LogRead& read) const;
  // Ranks with files in that attempt, in order.
  std::vector<int32_t> Ranks(const std::string& job_id, int64_t epoch) const;
  // For each step the newest attempt's point, and where to go on.
  StatusOr<std::vector<pb::MetricPoint>> Series(const std::string& job_id, int64_t last_epoch,
                                                SeriesCursor* cursor) const;
  // The points behind the cursor, at most one batch; moves it.
  StatusOr<std::vector<pb::MetricPoint>> NextPoints(const std::string& job_id, SeriesCursor* cursor) const;
  void RemoveJob(const std::string& job_id);

  std::filesystem::path AdapterDir(const std::string& job_id, int64_t epoch) const;
  std::filesystem::path UploadDir() const { return root_ / "uploads"; }
  const std::filesystem::path& root() const { return root_; }

 private:
  // A thread and what waits for it.
  struct Lane {
    boost::asio::io_context context{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{context.get_executor()};
    std::atomic<size_t> waiting = 0;
    std::thread thread;
  };
  static void Start(Lane& lane, const char* name);
  static void Stop(Lane& lane);
  static Status Run(Lane& lane, std::function<void()> work);

  const std::filesystem::path root_;
  Lane records_, large_;
  RecordStore store_{root_, records_.context};
};

}  // namespace ft::spool
