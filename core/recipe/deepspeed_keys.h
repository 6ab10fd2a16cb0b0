// The keys that DeepSpeed's files have, once: what each becomes here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ft::recipe {

enum class DeepspeedRule : uint8_t {
  kObject,         // Holds keys of its own.
  kNoMeaning,      // Any value: `note` says why.
  kOnly,           // One of `word`, a JSON list; else refused with `note`.
  kOffUnless,      // Refused with `note` where one of its keys in `word`, a JSON list, is on.
  kOnIfThere,      // Refused with `note` unless it is null, false, or says that it is not enabled.
  kNumber,         // The number, or numbers, of the job's key `word`; "auto" leaves them to the job.
  kCount,          // The same of a whole number.
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
  std::string path;  // zero_optimization.stage
  DeepspeedRule rule;
  std::string word;
  std::string_view note;
};

std::span<const DeepspeedKeyRule> DeepspeedKeyRules();

}  // namespace ft::recipe
