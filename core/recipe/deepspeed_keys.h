// The keys that DeepSpeed's files have, once: what each becomes here.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace ft::recipe {

enum class DeepspeedRule : uint8_t {
  kObject,         // Holds keys of its own.
  kNoMeaning,      // Any value: `note` says why.
  kOnly,           // One of `word`, a JSON list; else refused with `note`.
  kOff,            // Refused with `note` unless it is off.
  kNumber,         // The number, or numbers, of the job's key `word`; "auto" leaves them to the job.
  kStage,          // parallel.zero.
  kTier,           // A device that the job's key `word` calls cpu, disk or none.
  kTierPath,       // Where nvme lies: `note`.
  kBatch,          // Micro-batches times accumulation times ranks.
  kDtype,          // Whether model.dtype is `word`.
  kPowerOfTwo,     // The exponent of the job's key `word`.
  kOptimizerType,  // train.optimizer.kind.
  kSchedulerType,  // train.schedule.kind.
};

struct DeepspeedKeyRule {
  std::string_view path;
  DeepspeedRule rule;
  std::string_view word;
  std::string_view note;
  bool chosen_if_zero = false;  // Of the job's key 0 means that it is chosen.
};

std::span<const DeepspeedKeyRule> DeepspeedKeyRules();

}  // namespace ft::recipe
