// Whether the installed NVIDIA driver can run what this library is built for.
#pragma once

#include <string>

namespace ft::cuda {

// `driver_cuda` is what cudaDriverGetVersion gives: 1000 x major + 10 x minor of the newest CUDA that the
// driver knows; 0 without a driver. Empty when it is new enough.
std::string DriverRefusal(int driver_cuda);

// Asks the driver itself.
std::string CheckDriver();

}  // namespace ft::cuda
