// Settings of the numeric libraries that must stand before they are loaded, and those of LibTorch itself.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace ft::rank {

// What the environment must hold on this machine's CPU: MKL_CBWR (MKL's code path, at the widest strict
// branch) and ONEDNN_MAX_CPU_ISA (oneDNN's). Both libraries otherwise choose by alignment and load, and
// results differ in last bits.
std::vector<std::pair<std::string, std::string>> NumericEnvironment();

// First thing in main: where the environment differs, sets it and starts this program again in place (the
// libraries read it while they are loaded, before main). Also lets waiting threads sleep (OMP_WAIT_POLICY)
// and asks LibTorch for deterministic algorithms. Exits with a message if the program cannot be started
// again.
void FixNumericEnvironment(char** argv);

}  // namespace ft::rank
