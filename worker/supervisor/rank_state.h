// What the supervisor remembers of a rank, one small file each, written durably before the fact is told to anyone.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <vector>

#include "core/base/status.h"
#include "core/rankhost/messages.h"

namespace ft::supervisor {

struct RankState {
  rankhost::RankKey key;
  pid_t pid = 0;
  std::string boot_id;      // A pid means nothing after a reboot,
  uint64_t start_time = 0;  // nor after it was given to another process (clock ticks since boot).
  bool exited = false;
  int wait_status = 0;
};

class RankStateStore {
 public:
  explicit RankStateStore(std::filesystem::path dir) : dir_(std::move(dir)) {}
  Status Save(const RankState& state) const;
  Status Remove(const rankhost::RankKey& key) const;
  // All that are there; a file that cannot be read is an error that names it.
  StatusOr<std::vector<RankState>> LoadAll() const;

 private:
  std::filesystem::path PathOf(const rankhost::RankKey& key) const;
  std::filesystem::path dir_;
};

// The kernel's random id of this boot.
StatusOr<std::string> BootId();
// Start time of a live process in clock ticks since boot; NOT_FOUND when there is none.
StatusOr<uint64_t> StartTime(pid_t pid);

}  // namespace ft::supervisor
