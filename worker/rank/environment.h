// Settings of the numeric libraries that must stand before they are loaded, and those of LibTorch itself. The program's
// allocator is jemalloc, whose settings are here too (docs/decisions/0026).
#pragma once

namespace ft::rank {

// First thing in main: where the environment is not NumericEnvironment() (core/process), sets it and starts this program
// again in place. Also asks LibTorch for deterministic algorithms. Exits with a message
// if the program cannot be started again.
void FixNumericEnvironment(char** argv);

}  // namespace ft::rank
