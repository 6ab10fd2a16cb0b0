// The ranks of this node, each with a durable state file `<dir>/<job>.<epoch>.<rank>.json`: pid, boot id and
// start time (which together name a process for ever), and its exit status once it has one. A file is removed
// when the coordinator has taken the rank's result (FORGET). One thread.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "core/process/proc.h"
#include "core/process/rank_process.h"

namespace ft::supervisor {

using process::RankKey;
using process::RankProcess;

class RankTable {
 public:
  // Reads the state files. Processes of an earlier supervisor that still live are killed: they should have
  // died with it.
  static StatusOr<RankTable> Open(const std::filesystem::path& dir);

  Status Add(RankProcess rank);
  // Stores the exit status durably. Call before the process is reaped. When the disk does not take it, it is remembered
  // for SaveAgain.
  Status RecordExit(const RankKey& key, int wait_status);
  // Stores what could not be stored before, as far as the disk takes it now.
  void SaveAgain();
  Status Forget(const RankKey& key);
  RankProcess* Find(const RankKey& key);
  std::map<RankKey, RankProcess>& ranks() { return ranks_; }

 private:
  std::filesystem::path PathOf(const RankKey& key) const;
  Status Save(const RankProcess& rank);
  std::filesystem::path dir_;
  std::map<RankKey, RankProcess> ranks_;
  std::set<RankKey> unsaved_;  // Their files still say that they run.
};

}  // namespace ft::supervisor
