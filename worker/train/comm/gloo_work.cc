#include "worker/train/comm/gloo_work.h"

#include <exception>

namespace ft::comm {

bool EndsWithin(c10d::Work& work, std::chrono::milliseconds time) {
  try {
    return work.wait(time);
  } catch (const std::exception&) {
    if (!work.isCompleted()) return false;
  }
  // It failed, or it ended just after the time had passed, and what was thrown is that: the work itself knows which.
  return work.wait();
}

}  // namespace ft::comm
