// Where the coordinator's rows live. One thread at a time (the writer's; before it starts, main's).
//
// Errors: RESOURCE_EXHAUSTED when the disk is full (nothing of the group was stored; a later group may
// succeed); DATA_LOSS for any other failed write, after which the process must end: a failed fsync is never
// repeated, because the kernel may have dropped the pages it could not write.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "server/state/cluster_state.h"

namespace ft::state {

struct EventQuery {
  int64_t after_revision = 0;
  std::string subject;          // Empty = all.
  bool only_deletions = false;  // Deletions of jobs only, of all subjects.
  int limit = 100;
};

class Store {
 public:
  virtual ~Store() = default;
  // The whole state; raises the term by one, durably.
  virtual StatusOr<ClusterState> Load() = 0;
  // All of the group or nothing, on disk when it returns. `revision_limit`: no revision beyond it was given out; what Load()
  // answers begins there.
  virtual Status WriteGroup(std::span<const Changes* const> group, int64_t revision_limit) = 0;
  // Oldest first.
  virtual StatusOr<std::vector<pb::Event>> ReadEvents(const EventQuery& query) = 0;
  // The revision before the oldest event still kept: a reader that has seen it has missed nothing.
  virtual StatusOr<int64_t> OldestRevision() = 0;
  // Forgets events up to the revision.
  virtual Status TrimEvents(int64_t up_to_revision) = 0;
};

}  // namespace ft::state
