// A rank's voice: records in its spool, with beats no more often than ten a second, and the same as lines on
// standard output for people who read its log. Three kinds of beat: work done, bytes of a file written, and a
// wait, which counts as no progress.
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
  // Tells the bytes so far of a file that is being written in the phase "checkpoint" or "write".
  void Wrote(std::string_view phase, int64_t bytes);
  // Tells the bytes so far of what is downloaded, and of how many; 0 = not known.
  void Downloaded(int64_t bytes, int64_t total_bytes);
  // Tells that the rank waits for others: when what it waits for changes, else twice a second.
  void Wait(records::Wait wait);
  void Note(std::string severity, std::string reason, std::string message);

 private:
  explicit Reporter(records::RecordWriter writer) : writer_(std::move(writer)) {}
  // Writes the beat unless one like it has just been written.
  void Send(records::Beat beat, std::chrono::milliseconds interval);

  records::RecordWriter writer_;
  int64_t beats_ = 0;
  std::string phase_;
  records::Wait wait_;  // That was told last.
  std::chrono::steady_clock::time_point last_beat_{};
};

}  // namespace ft::rank
