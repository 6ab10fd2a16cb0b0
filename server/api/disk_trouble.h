// Jobs whose files cannot be taken for want of room, and whether the store has none. Kept in memory only: the
// store lies on the full disk too. Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "absl/time/time.h"
#include "core/base/status.h"

namespace ft::api {

class DiskTrouble {
 public:
  // How a write for a job went; only a full disk is noted. True when it is worth a line in the log: at most once a minute
  // and job.
  bool Note(const std::string& job_id, const Status& status, absl::Time now);
  // The store, in this folder, had no room for a change: no job's can be written.
  void NoteStore(const std::string& folder, absl::Time now);
  // "the disk is full: ...", while writes have failed for it lately, or the store's have; else empty.
  std::string Of(const std::string& job_id, absl::Time now) const;

 private:
  struct Entry {
    std::string message;
    absl::Time noted = absl::InfinitePast();
    absl::Time logged = absl::InfinitePast();
  };
  mutable std::mutex mutex_;  // Guards all below.
  std::map<std::string, Entry> jobs_;
  Entry store_;
};

}  // namespace ft::api
