// Records of MOSS-003-SFT, whose texts have their markup already: no chat template goes around them.
//   {"meta_instruction": "...", "num_turns": 1, "chat": {"turn_1": {"Human": "<|Human|>: ...<eoh>\n", ..., "MOSS": "..."}}}
//
// As XTuner 0.1.9 reads them: the parts of a turn in the order in which they stand there, no EOS. Everything carries loss but the meta
// instruction and what a tool gave, of which its mark in front and its end are learnt. A turn that would go beyond the length
// ends the sample before it.
#pragma once

#include <string>

#include "worker/data/prepare/collector.h"
#include "worker/data/readers/record.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft::prepare {

struct MossOptions {
  int64_t max_length = 0;
  std::string bot_name;  // Takes the place of MOSS in all texts; empty = none does.
};

// Immutable and thread-safe. The tokenizer has to outlive it.
class MossReader {
 public:
  static StatusOr<MossReader> Open(const tokenizer::Tokenizer& tokenizer, const MossOptions& options);
  // A sample without ids where not even the first turn fits. INVALID_ARGUMENT names the record's place and the key.
  StatusOr<Sample> Read(const data::Record& record) const;

 private:
  MossReader(const tokenizer::Tokenizer& tokenizer, const MossOptions& options)
      : tokenizer_(&tokenizer), options_(options) {}
  StatusOr<Sample> ReadTurn(const nlohmann::ordered_json& turn) const;
  std::string Named(std::string text) const;

  const tokenizer::Tokenizer* tokenizer_;
  MossOptions options_;
  size_t learnt_front_ = 0, learnt_end_ = 0;  // Tokens of what a tool gave.
};

}  // namespace ft::prepare
