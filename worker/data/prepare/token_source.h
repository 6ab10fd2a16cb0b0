// `format: tokens`: samples that were tokenised elsewhere, one JSON object each (JSON Lines or an array), or
// one row of a parquet file:
//   {"input_ids": [1, 42, 7, 2], "labels": [-100, -100, 7, 2]}
// `labels` may be left out (every token is supervised); a label is -100 or the id at its own place.
// `attention_mask` is accepted when it holds ones only.
#pragma once

#include <filesystem>

#include "worker/data/prepare/collector.h"

namespace ft::prepare {

struct TokenSourceOptions {
  std::filesystem::path path;
  int64_t vocab_size = 0;   // REQUIRES: > 0.
  int64_t max_records = 0;  // 0 = all.
};

// Adds the file's samples. INVALID_ARGUMENT names file, line and position (from 0) of the first wrong id or
// label.
Status ReadTokenSource(const TokenSourceOptions& options, Collector* collector);

}  // namespace ft::prepare
