// FT_CHECK: a broken invariant of the program (never of its input) prints the condition and aborts.
//   FT_CHECK(a == b) << "a " << a << " b " << b;
#pragma once

#include <sstream>

namespace ft::internal {

// Collects the message and aborts when the full expression ends.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition);
  [[noreturn]] ~CheckFailure();
  std::ostream& stream() { return stream_; }

 private:
  std::ostringstream stream_;
};

struct Voidify {
  void operator&(std::ostream&) {}
};

}  // namespace ft::internal

#define FT_CHECK(condition) \
  (condition)               \
      ? (void)0             \
      : ::ft::internal::Voidify() & ::ft::internal::CheckFailure(__FILE__, __LINE__, #condition).stream()
