// Waiting for an operation of Gloo.
#pragma once

#include <chrono>
#include <torch/csrc/distributed/c10d/Work.hpp>

namespace ft::comm {

// True when the work has ended within `time`, false when it goes on. Throws what it failed with.
bool EndsWithin(c10d::Work& work, std::chrono::milliseconds time);

}  // namespace ft::comm
