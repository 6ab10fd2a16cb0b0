// The journal of the spool: records of all ranks in one file, so that one sync makes all durable that waits.
// The bytes go to the ranks' own files afterwards, without a sync of their own; a start after a crash writes
// them there again (decision 60).
//
// `<data>/journal/<number>.ftr` holds frames of finetune.store.v1.JournalEntry. When a file is full a next
// one is begun, and the full one is removed once all files that it has bytes of were synced, some of them at
// a time. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "core/base/file.h"
#include "core/base/status.h"
#include "finetune/store/v1/store.pb.h"
#include "server/spool/durable.h"

namespace ft::spool {

class Journal {
 public:
  // Bytes of a rank's records.ftr that begin at `offset`, which is the file's end.
  struct Entry {
    std::string_view job_id;
    int64_t epoch = 0;
    int32_t rank = 0;
    uint64_t offset = 0;
    std::string_view data;
  };

  // A file takes no more once it has `file_bytes`.
  Journal(std::filesystem::path root, SyncFile sync, uint64_t file_bytes = 16 << 20)
      : root_(std::move(root)), sync_(std::move(sync)), file_bytes_(file_bytes) {}

  // Before anything else: writes what an earlier process left to the ranks' files, of jobs that still are.
  // Then no journal is left.
  Status Recover(const std::function<bool(const std::string& job_id)>& lives);

  // Makes the entries durable, all or none; the process ends where a sync fails. What was written before lies
  // in the ranks' files.
  Status Write(std::span<const Entry> entries);

  // Takes a few steps, at most `files`, towards removing the oldest full file; after an error, the next time.
  // REQUIRES that all that was written lies in the ranks' files.
  Status Settle(size_t files);

  // The rest of them, and the newest file too: then no journal is left. Same requirement.
  Status Close();

 private:
  struct File {
    std::filesystem::path path;
    uint64_t size = 0;
    // Ranks' folders, as in `j1/e1/rank0`, with bytes in it, and whether their file was new.
    std::map<std::string, bool> ranks;
  };

  std::filesystem::path Dir() const { return root_ / "journal"; }
  Status Replay(const std::filesystem::path& path,
                const std::function<bool(const std::string& job_id)>& lives, File* replayed);
  Status WriteAgain(const finetune::store::v1::JournalEntry& entry);
  // Has a file that takes more open.
  Status MakeRoom();
  Status Append(std::string_view bytes);
  void Retire();
  // Makes the rank's records durable, and their name where the file was new; a rank without files needs
  // nothing. The process ends where that fails; the error is that the file cannot be opened.
  Status SyncRank(const std::string& rank, bool is_new) const;

  const std::filesystem::path root_;
  const SyncFile sync_;
  const uint64_t file_bytes_;
  int64_t next_number_ = 1;
  UniqueFd fd_;  // Open on current_; none = the next Write() begins a file.
  File current_;
  std::deque<File> full_;  // Oldest first.
};

}  // namespace ft::spool
