// Records that a rank writes and the agent, the coordinator and ftctl read. Plain structs, because no translation unit
// may include both LibTorch and protobuf headers; the bytes are finetune.worker.v1.RankRecord (records.proto says what
// each field means).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "core/base/status.h"

namespace ft::records {

struct Plan {
  int64_t total_steps = 0;
  int64_t first_step = 1;
  int64_t parameters = 0;
  int64_t trainable_parameters = 0;
  std::string numeric_fingerprint;
};

// Told by rank 0: where the peers of other nodes meet it.
struct Rendezvous {
  std::string address;  // HOST:PORT
};

struct Step {
  int64_t step = 0;
  double loss = 0;
  double learning_rate = 0;
  double gradient_norm = 0;
  int64_t supervised_tokens = 0;
  int64_t tokens = 0;
  int64_t samples_seen = 0;
  double epoch = 0;
  double seconds = 0;
  std::map<std::string, double> phase_seconds;
  bool skipped = false;
  double loss_scale = 0;
  int64_t peak_memory_bytes = 0;
};

struct Eval {
  int64_t step = 0;
  std::string name;
  double loss = 0;
  int64_t supervised_tokens = 0;
};

// What is right of a benchmark's questions, in percent.
struct Score {
  int64_t step = 0;
  std::string name;
  int64_t questions = 0;
  double average = 0;  // Plain mean over the subjects.
  std::map<std::string, double> categories, subcategories, subjects;
};

// What a rank waits for, of a beat of phase "wait".
struct Wait {
  std::string operation;
  int64_t sequence = 0;
  int32_t rank = -1;  // That has not come; -1 = not known.
  bool operator==(const Wait&) const = default;
};

struct Beat {
  int64_t count = 0;
  std::string phase;
  int64_t bytes = 0;        // Written so far, of phases checkpoint, write and download.
  int64_t total_bytes = 0;  // What it grows to, of phase download; 0 = not known.
  Wait wait;
};

struct Checkpoint {
  int64_t step = 0;
  std::string path;
  std::string manifest_sha256;
  int64_t size_bytes = 0;
};

struct Sample {
  int64_t step = 0;
  std::string prompt;
  std::string text;
};

struct Note {
  std::string severity;
  std::string reason;
  std::string message;
};

struct Prepared {
  std::string cache_path;
  std::string cache_sha256;
  int64_t samples = 0;
  int64_t tokens = 0;
  int64_t supervised_tokens = 0;
  int64_t truncated_samples = 0;
  int64_t holdout_samples = 0;
  int64_t longest_sample = 0;
  std::vector<std::string> report;
};

enum class ResultState { kSucceeded = 1, kFailed = 2, kStopped = 3 };

struct Result {
  ResultState state = ResultState::kFailed;
  std::string failure_class;  // A name of finetune.v1.FailureClass, when failed.
  std::string message;
  int64_t step = 0;
  std::string adapter_path;
  std::string adapter_sha256;
  std::string ledger_sha256;
};

struct Record {
  uint64_t sequence = 0;
  int64_t unix_nanos = 0;
  std::variant<Step, Eval, Beat, Checkpoint, Sample, Note, Prepared, Result, Plan, Rendezvous, Score> body;
};

// The protobuf bytes of a record, and back. Decode refuses bytes without a known body.
std::string Encode(const Record& record);
StatusOr<Record> Decode(std::string_view bytes);

}  // namespace ft::records
