// The end of a process that did to the simulated device what no program may do to a device.
#pragma once

namespace ft::simdevice {

// Prints one line and aborts, so that a test sees which call it was.
[[noreturn]] void Die(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace ft::simdevice
