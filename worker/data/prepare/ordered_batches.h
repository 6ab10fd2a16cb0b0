// Work on records in parallel whose results are taken in the records' order.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

namespace ft::prepare {

// Calls work(i) once for every i below `count`, on up to `threads` threads of which the calling one is one, and returns
// when all are done. `work` must be safe to call from several threads.
inline void ForEachIndex(size_t count, size_t threads, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next = 0;
  const auto run = [&] {
    for (size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) work(i);
  };
  std::vector<std::jthread> helpers;
  for (size_t i = 1; i < std::min(threads, count); ++i) helpers.emplace_back(run);
  run();
}

}  // namespace ft::prepare
