// What the process's allocator keeps of memory that was freed. Pages that go back to the kernel within a step cost page faults in the next
// one, up to a fifth of it; pages that never go back let the process grow with every hole that no tensor fits into. So the step
// says when: where most is in use, what is free are holes (docs/decisions/0139).
#pragma once

#include <cstddef>

namespace ft::rank {

// Whether `free` bytes at one moment of a step are more than later moments take, which were up to `rise` bytes above this one in the step
// before, by more than a thirty-second of the `used` bytes.
bool IsExcess(size_t free, size_t rise, size_t used);

// Lives on the thread that trains, which makes nearly all of a step's tensors.
class FreedPages {
 public:
  // Where a step has most in use: gives all back that is free if it is excess; the first time in any case, since loading left it, and from then on
  // nothing goes back of itself. Without effect where the program's allocator is not a jemalloc that tells a thread's peak (5.3.0).
  void GiveBackExcess();

 private:
  bool is_first_ = true;
};

}  // namespace ft::rank
