// Turns a job's data into the token cache its ranks map, and into what a person sees before a device is
// taken. The gate stands here: data that would train badly is refused, all of it counted, the first ten
// places listed.
//
// Order: resolve each source, read its records, map and render and tokenise them, cut to train.max_length,
// look for what the gate refuses, set the held-out share aside, write the cache. The result is a function of
// the spec, the sources' bytes, the model's tokenizer and the date alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/recipe/job_spec.h"
#include "worker/data/prepare/paths.h"

namespace ft::prepare {

struct PrepareRequest {
  recipe::JobSpec spec;         // data, holdout, gate, train.{max_length, seed, tokenize} are used.
  std::filesystem::path model;  // Folder or .gguf file; may be empty when vocab_size is given and all
                                // sources are `format: tokens`.
  int64_t vocab_size = 0;       // Ids must be below; 0 = as the model's config says.
  // By index of spec.data: the files that a source on a hub stands for; none = the source is resolved (paths.h).
  std::vector<std::vector<std::filesystem::path>> files;
  SourceRoots roots;
  int64_t date = 0;  // When the job was created, for chat templates (data::ChatTemplateOptions).
  std::filesystem::path cache_dir;  // Where <digest>.ftt is written. Empty = nothing is kept (preview).
  std::function<void(int64_t records)> progress;  // Called now and then, on the calling thread; may be empty.
};

struct PreparedReport {
  std::filesystem::path cache_path;  // Empty when nothing was written.
  std::string cache_digest;          // SHA-256, hexadecimal.
  int64_t samples = 0;               // With the held-out ones.
  int64_t holdout_samples = 0;
  int64_t tokens = 0;
  int64_t supervised_tokens = 0;  // Positions whose prediction counts; a sample's first token never does.
  int64_t truncated_samples = 0;
  int64_t dropped_samples = 0;  // Without a supervised token, where the gate allows it.
  int64_t longest_sample = 0;   // In tokens, after cutting.
  std::vector<int64_t>
      train_lengths;               // In tokens, of the samples that are not held out, in the cache's order.
  std::vector<std::string> lines;  // For people: columns used, notes, counts, warnings, rendered samples.
  std::vector<std::string> warnings;  // Those of the lines that ask for a decision.
};

// INVALID_ARGUMENT: the data or the job is at fault; the message may have several lines. Samples are made
// on all cores that this process may use; the result does not depend on their number.
StatusOr<PreparedReport> Prepare(const PrepareRequest& request);

}  // namespace ft::prepare
