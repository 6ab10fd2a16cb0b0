// What the environment asks of the simulated accelerator. Read once; a value that is not understood ends the process with a sentence.
//
//   FT_SIM_EAGER=1      work runs when it is given to a stream, as on a device that is never behind
//   FT_SIM_SEED=n       work runs at random moments; n decides which
//   FT_SIM_DEVICES=n    number of devices, 1 to 8; 1 unless it is set
//   FT_SIM_MEMORY=n     bytes of each device; 4 GiB unless it is set
//   FT_SIM_FAULT=f@n    what goes wrong, and at which operation or allocation of a device, counted from 1 (faults.h)
//
// Without the first two, work runs as late as it may.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/simdevice/runtime/faults.h"

namespace ft::simdevice {

// Multiprocessors of the card that it stands for, an H100: deterministic flash attention splits its sums by them.
inline constexpr int kMultiprocessors = 132;

// When the work of a stream runs.
enum class Schedule {
  kLazy,    // When somebody has a right to see its result: who forgets to wait sees old bytes, every time.
  kEager,   // At once.
  kSeeded,  // Lazily, and random first parts of random streams whenever work is added.
};

struct Settings {
  Schedule schedule = Schedule::kLazy;
  uint64_t seed = 0;
  int devices = 1;
  size_t memory = size_t{4} << 30;
  FaultPlan fault;
};

// `text_of` gives the value of a variable, null where it is not set. False, with a sentence in `problem`, for a wrong value.
bool ReadSettings(const char* (*text_of)(const char* name), Settings* settings, std::string* problem);

// Those of this process.
const Settings& EnvironmentSettings();

}  // namespace ft::simdevice
