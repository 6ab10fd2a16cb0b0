// The oldest cards and drivers that this build has code for: what agents say of a node's cards before a job is placed there, and ranks
// of the one they are given.
#pragma once

namespace ft {

// Turing (T4, RTX 20), compute capability 7.5.
inline constexpr int kOldestCapabilityMajor = 7, kOldestCapabilityMinor = 5;

inline bool IsSupportedCapability(int major, int minor) {
  return major > kOldestCapabilityMajor ||
         (major == kOldestCapabilityMajor && minor >= kOldestCapabilityMinor);
}

// CUDA 13 programs run on drivers of branch 580 and newer (minor-version compatibility). Versions as drivers tell them: 1000 x major +
// 10 x minor of the newest CUDA that they know.
inline constexpr int kOldestCudaOfDriver = 13000;
inline constexpr int kOldestDriverBranch = 580;

}  // namespace ft
