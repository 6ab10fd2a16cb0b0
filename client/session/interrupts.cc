#include "client/session/interrupts.h"

#include <atomic>

namespace ft::client {
namespace {

// A signal handler can reach nothing but a global; lock-free, so it may.
std::atomic<int> interrupt_count{0};
static_assert(std::atomic<int>::is_always_lock_free);

void Count(int) { interrupt_count.fetch_add(1); }

}  // namespace

Interrupts::Interrupts() : base_(interrupt_count.load()) {
  struct sigaction action {};
  action.sa_handler = Count;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, &previous_int_);
  ::sigaction(SIGTERM, &action, &previous_term_);
}

Interrupts::~Interrupts() {
  ::sigaction(SIGINT, &previous_int_, nullptr);
  ::sigaction(SIGTERM, &previous_term_, nullptr);
}

int Interrupts::count() const { return interrupt_count.load() - base_; }

}  // namespace ft::client
