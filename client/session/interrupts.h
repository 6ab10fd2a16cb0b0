// Counts Ctrl-C (SIGINT) instead of dying of it, for verbs that must leave something in order.
#pragma once

#include <signal.h>

namespace ft::client {

// While one lives, SIGINT and SIGTERM only count. They nest like scopes; the earlier handlers come back at the end.
class Interrupts {
 public:
  Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  ~Interrupts();
  // Signals since construction.
  int count() const;

 private:
  int base_ = 0;
  struct sigaction previous_int_ {};
  struct sigaction previous_term_ {};
};

}  // namespace ft::client
