#include "tests/simdevice/runtime/die.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace ft::simdevice {

void Die(const char* format, ...) {
  std::fputs("simulated device: ", stderr);
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fputc('\n', stderr);
  std::abort();
}

}  // namespace ft::simdevice
