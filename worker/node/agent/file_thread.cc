#include "worker/node/agent/file_thread.h"

#include <pthread.h>
#include <signal.h>

namespace ft::agent {

FileThread::FileThread() : thread_([this](std::stop_token stop) { Loop(std::move(stop)); }) {}

FileThread::~FileThread() = default;

Status FileThread::Run(Work work) {
  const std::lock_guard lock(mutex_);
  if (waiting_.size() >= kQueueLimit) return absl::ResourceExhaustedError("too much work on files waits");
  waiting_.push_back(std::move(work));
  wake_.notify_one();
  return absl::OkStatus();
}

void FileThread::Loop(std::stop_token stop) {
  // Signals are the loop's.
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  while (true) {
    std::unique_lock lock(mutex_);
    if (!wake_.wait(lock, stop, [this] { return !waiting_.empty(); }) || stop.stop_requested()) return;
    const Work work = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    work(stop);
  }
}

}  // namespace ft::agent
