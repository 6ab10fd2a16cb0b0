// What of this machine's memory a program may still take.
#pragma once

#include <cstdint>

namespace ft::rank {

// MemAvailable of /proc/meminfo, in bytes; 0 where it cannot be read.
int64_t FreeMemory();

}  // namespace ft::rank
