// Settings of the numeric libraries that must stand before they are loaded, and those of LibTorch itself.
#pragma once

namespace ft::rank {

// First thing in main: where the environment is not NumericEnvironment() (core/process), sets it and starts this program
// again in place. Also keeps memory that was freed, and asks LibTorch for deterministic algorithms. Exits with a message
// if the program cannot be started again.
void FixNumericEnvironment(char** argv);

}  // namespace ft::rank
