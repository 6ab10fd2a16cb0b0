// Sources that hold text: records are read, mapped to conversations and rendered, or taken as text to learn
// whole.
//
// `format: text` (pre-training): the documents of the file, each as
//   [BOS] tokens [EOS], all of them supervised, special tokens never read out of the text,
// cut into chunks of at most max_length tokens; a chunk never crosses documents, and the first token of a
// chunk is not predicted. BOS is there when the tokenizer itself puts one (`tokenize: whole`) or has one
// (`tokenize: pieces`).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/recipe/job_spec.h"
#include "worker/data/chat/conversation.h"
#include "worker/data/prepare/collector.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft::prepare {

// A conversation as ids and loss marks, by the source's template. Called from several threads at once.
using Render = std::function<StatusOr<Sample>(const data::Conversation&)>;

struct TextSourceOptions {
  std::filesystem::path path;
  recipe::DataSource source;
  int64_t max_length = 0;
  bool pieces = false;  // train.tokenize.
  bool xtuner =
      false;  // compat: xtuner-0.1.9. What is no record of its data set is left out and noted, not refused; a text to
              // learn whole is trimmed, cut instead of chunked, and its BOS carries no loss.
  const tokenizer::Tokenizer* tokenizer = nullptr;  // REQUIRES: not null, outlives the call.
  std::function<StatusOr<Render>()> open_render;  // Asked once, when the data turns out to be conversations.
  std::function<void(int64_t records)> progress;  // Every 1,000 records; may be empty.
  std::function<bool(int64_t index)> keeps;       // Which records of the file are read, from 0; empty = all.
};

// INVALID_ARGUMENT when the source asks for the last answer only and holds no conversations.
Status CheckLossOn(const recipe::DataSource& source, bool conversations);

// Adds the source's samples and returns the sentences a person should read. INVALID_ARGUMENT names the place
// of a record that cannot be read; what the gate judges is left to the collector.
StatusOr<std::vector<std::string>> ReadTextSource(const TextSourceOptions& options, Collector* collector);

}  // namespace ft::prepare
