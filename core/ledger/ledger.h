// The numerics ledger: one entry a step with digests of the samples, the gradient and the weights, so that two runs can
// be compared to the bit long after both are gone. A rank appends entries to attempts/<epoch>/ledger.ftr (frames of
// core/records, each the JSON of one entry); `ftctl diff` reads two of them. An entry holds no time, attempt or epoch:
// a run that was killed and resumed has the same ledger as one that was not.
//
// Encode and Decode are pure; the readers touch files only while they run. All are safe from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace ft::ledger {

// Digests of one trainable tensor: the first 16 hexadecimal digits of SHA-256 each; empty = not recorded.
struct TensorDigests {
  std::string gradient;
  std::string weights;
  bool operator==(const TensorDigests&) const = default;
};

// What digests of tensors are: 1, the SHA-256 of the bytes; 2, the SHA-256 over the SHA-256s of leaves of 4 KiB. Those of different
// versions cannot be compared.
inline constexpr int kVersion = 2;

struct LedgerEntry {
  int version = 1;
  int64_t step = 0;  // From 1: the optimizer step this entry describes.
  std::string
      samples;  // SHA-256 of the step's sample ids in order, 64 hexadecimal digits; empty = not recorded.
  std::string gradient;                          // Digest of the reduced gradient before clipping.
  std::string weights;                           // Digest of the trainable weights after the step.
  std::map<std::string, TensorDigests> tensors;  // By canonical name; may be empty on steps without detail.
  bool operator==(const LedgerEntry&) const = default;
};

// One line of JSON with sorted tensor names: equal entries give equal bytes. At most records::kMaxFrameBytes of it fit
// a frame, which is some 8,000 tensors.
std::string Encode(const LedgerEntry& entry);

// INVALID_ARGUMENT naming the key when the text is not an entry.
StatusOr<LedgerEntry> Decode(std::string_view json);

// All entries of one file in the order written; empty when the file does not exist. A torn last frame is not an error.
StatusOr<std::vector<LedgerEntry>> ReadLedgerFile(const std::filesystem::path& path);

// The ledger of a job: for each step the entry of the newest attempt that recorded it, by rising step. NOT_FOUND when
// run_dir has no attempts folder.
StatusOr<std::vector<LedgerEntry>> ReadJobLedger(const std::filesystem::path& run_dir);

enum class DifferenceKind {
  kMissingInFirst,   // Only the second ledger has this step.
  kMissingInSecond,  // Only the first ledger has this step.
  kSamples,
  kGradient,
  kWeights,
};

struct LedgerDifference {
  int64_t step = 0;
  DifferenceKind kind = DifferenceKind::kSamples;
  std::string tensor;  // Empty when only the digest of the whole differs, or for samples and missing steps.
  std::string first;   // The digests that differ; empty for missing steps and for tensors only one side has.
  std::string second;
};

// The first step that both have with digests of different versions; 0 = none.
int64_t FirstIncomparable(const std::vector<LedgerEntry>& first, const std::vector<LedgerEntry>& second);

// The first difference in the order step; samples, gradients, weights; tensor name (numbers by value, so layer 2 comes
// before layer 10). Digests that either side did not record are not compared. REQUIRES: both by rising step, and comparable.
std::optional<LedgerDifference> FirstDifference(const std::vector<LedgerEntry>& first,
                                                const std::vector<LedgerEntry>& second);

// True when `a` comes before `b` with runs of digits compared by value.
bool NaturalLess(std::string_view a, std::string_view b);

}  // namespace ft::ledger
