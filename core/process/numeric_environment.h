// Settings of the numeric libraries, which read them while they are loaded: whoever starts ft-rank gives them along, so
// that it need not load its libraries, set them, and start again (worker/rank/environment.h).
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace ft::process {

// Names and values for this machine's CPU: MKL_CBWR (MKL's code path, at the widest strict branch), ONEDNN_MAX_CPU_ISA
// (oneDNN's; both otherwise choose by alignment and load, and results differ in last bits), and OMP_WAIT_POLICY with
// GOMP_SPINCOUNT: threads that wait for work look 2,000 times before they sleep. A step has hundreds of parallel regions,
// and waking a thread for each is slow; spinning without end makes a step nine times as long on a machine that is shared
// (docs/decisions/0028).
std::vector<std::pair<std::string, std::string>> NumericEnvironment();

// Sets them in this process. Call where no other thread runs.
void SetNumericEnvironment();

// This process's environment with them, as NAME=value.
std::vector<std::string> EnvironmentWithNumericSettings();

}  // namespace ft::process
