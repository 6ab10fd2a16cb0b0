// The device of this process, as a job or a person asks for it.
#pragma once

#include <c10/core/Device.h>

#include <string>

#include "core/base/status.h"
#include "core/recipe/job_spec.h"

namespace ft::rank {

// `wanted` is "cpu", "gpu", or "auto": a GPU where CUDA_VISIBLE_DEVICES names one, as agents set it. Opens the library for GPUs where
// one is used, so call it before the first tensor. FAILED_PRECONDITION or NOT_FOUND says what is missing and what to do,
// INVALID_ARGUMENT that there is no such word.
StatusOr<at::Device> OpenDevice(const std::string& wanted);

// Lets this process take one of so many parts of a GPU's memory: more is out of memory. 1 = all of it.
void ShareDevice(at::Device device, int slots);

// The compute type `auto` stands for there: bf16 where the device multiplies it, else fp16 on a GPU and fp32 on a CPU.
// INVALID_ARGUMENT where bf16 is asked of a GPU that has none.
StatusOr<std::string> ResolveDtype(const recipe::ModelSpec& model, at::Device device);

// What the device adds to the numeric fingerprint; empty for a CPU, of which the fingerprint tells anyway.
std::string DeviceFingerprint(at::Device device);

}  // namespace ft::rank
