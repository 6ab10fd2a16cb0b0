// What the environment decides of the numbers, fixed before the first tensor and recorded.
#pragma once

#include <c10/core/Device.h>

#include <string>
#include <vector>

#include "core/recipe/job_spec.h"
#include "worker/rank/attempt.h"

namespace ft::rank {

// Sets LibTorch's threads and deterministic algorithms. Call once, before any tensor exists.
void FixNumerics(int threads);

// Device, CPU vector level and whether it multiplies bf16, library versions, threads and the version of our kernels: equal bits are
// promised for equal ones.
std::string NumericFingerprint(int threads, at::Device device = at::kCPU);

// SHA-256 of the settings that decide the numbers: names, labels, checkpoint and evaluation settings, ranks, stage, offload
// and transport left out. A checkpoint of two ranks therefore fits one or four of the same job.
std::string SettingsDigest(const recipe::JobSpec& spec);

// version: one line, exit status 0.
int VersionVerb(const std::vector<std::string>& arguments);

}  // namespace ft::rank
