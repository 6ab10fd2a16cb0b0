// Facts from /proc. Its files say they are empty, so they are read to their end.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace ft::process {

// Empty when the file cannot be read; at most 4 MiB.
std::string ReadProc(const std::string& path);

// Start time of a process in clock ticks since boot; nothing when it does not exist.
std::optional<uint64_t> StartTicks(pid_t pid);

// Names this boot of the machine.
std::string BootId();

}  // namespace ft::process
