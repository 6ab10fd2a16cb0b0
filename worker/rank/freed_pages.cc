#include "worker/rank/freed_pages.h"

#include <jemalloc/jemalloc.h>
#include <sys/types.h>

namespace ft::rank {
namespace {

constexpr size_t kPartOfUsed = 32;

template <typename T>
bool Ask(const char* name, T& value) {
  size_t size = sizeof(value);
  return mallctl(name, &value, &size, nullptr, 0) == 0 && size == sizeof(value);
}

template <typename T>
bool Set(const char* name, T value) {
  return mallctl(name, nullptr, nullptr, &value, sizeof(value)) == 0;
}

bool Do(const char* name) { return mallctl(name, nullptr, nullptr, nullptr, 0) == 0; }

}  // namespace

bool IsExcess(size_t free, size_t rise, size_t used) {
  return free > rise && free - rise > used / kPartOfUsed;
}

// The rank has one arena, number 0 (environment.cc).
void FreedPages::GiveBackExcess() {
  uint64_t rise = 0;
  size_t dirty_pages = 0, page = 0, used = 0;
  // What the others tell is of the last time that "epoch" was set.
  const bool known = Set<uint64_t>("epoch", 1) && Ask("thread.peak.read", rise) && Ask("arenas.page", page) &&
                     Ask("stats.arenas.0.pdirty", dirty_pages) && Ask("stats.allocated", used);
  if (!known) return;
  if (is_first_) Set<ssize_t>("arena.0.dirty_decay_ms", -1);
  if (is_first_ || IsExcess(dirty_pages * page, rise, used)) Do("arena.0.purge");
  is_first_ = false;
  Do("thread.peak.reset");
}

}  // namespace ft::rank
