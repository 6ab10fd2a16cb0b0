// What a test asks of a faulty disk: one struct in a file that test and coordinator map. Written by the test.
#pragma once

#include <atomic>
#include <cstdint>

namespace ft::faulty {

enum class Fault : uint32_t {
  kNone = 0,
  kFull = 1,           // Every write answers that the disk is full.
  kSyncFailsOnce = 2,  // The next fsync fails, and then no more.
  kSlow = 3,           // Every fsync takes half a second longer.
  // The process is killed at transaction `at`, counted from when the plan was set:
  kKillBefore = 4,     // before it writes a byte,
  kKillWithin = 5,     // after its first write,
  kKillCommitted = 6,  // when it is on disk, before anyone is told,
  kKillReplied = 7,    // a moment later, when replies are out.
};

struct FaultPlan {
  std::atomic<uint32_t> fault{0};
  std::atomic<uint32_t> at{0};
  std::atomic<uint32_t> transactions{0};  // Seen so far; the coordinator counts.
};

}  // namespace ft::faulty
