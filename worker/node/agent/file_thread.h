// The agent's second thread, for work on files that may be large: digests and removals. The loop meanwhile renews the lease and
// ships what other ranks write.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

#include "core/base/status.h"

namespace ft::agent {

class FileThread {
 public:
  using Work = std::function<void(std::stop_token)>;
  static constexpr size_t kQueueLimit = 4096;

  FileThread();
  // Asks the work in hand to stop, waits for it, and drops what is behind it.
  ~FileThread();

  // Runs `work` after what was given before; long work looks at the token. RESOURCE_EXHAUSTED when too much waits.
  Status Run(Work work);

 private:
  void Loop(std::stop_token stop);

  std::mutex mutex_;  // Guards waiting_.
  std::condition_variable_any wake_;
  std::deque<Work> waiting_;
  std::jthread thread_;  // Last: it uses all of the above.
};

}  // namespace ft::agent
