// A rank's voice: records in its spool, with beats no more often than ten a second, and the same as lines on standard
// output for people who read its log.
#pragma once

#include <chrono>
#include <string>

#include "core/records/record_file.h"

namespace ft::rank {

// One thread.
class Reporter {
 public:
  static StatusOr<Reporter> Open(const std::filesystem::path& path);
  Status Write(decltype(records::Record::body) body);
  // Counts one unit of progress. A beat that cannot be written is dropped: the next record reports the trouble.
  void Beat(std::string_view phase);
  void Note(std::string severity, std::string reason, std::string message);

 private:
  explicit Reporter(records::RecordWriter writer) : writer_(std::move(writer)) {}
  records::RecordWriter writer_;
  int64_t beats_ = 0;
  std::string phase_;
  std::chrono::steady_clock::time_point last_beat_{};
};

}  // namespace ft::rank
