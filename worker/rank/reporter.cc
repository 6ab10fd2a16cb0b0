#include "worker/rank/reporter.h"

namespace ft::rank {

constexpr auto kBeatInterval = std::chrono::milliseconds(100);

StatusOr<Reporter> Reporter::Open(const std::filesystem::path& path) {
  RETURN_IF_ERROR(MakeDirectories(path.parent_path()));
  ASSIGN_OR_RETURN(records::RecordWriter writer, records::RecordWriter::Open(path));
  return Reporter(std::move(writer));
}

void Reporter::Beat(std::string_view phase) {
  ++beats_;
  const auto now = std::chrono::steady_clock::now();
  if (phase == phase_ && now - last_beat_ < kBeatInterval) return;
  phase_ = phase;
  last_beat_ = now;
  writer_.Write(records::Beat{beats_, phase_}).IgnoreError();
}

void Reporter::Note(std::string severity, std::string reason, std::string message) {
  writer_.Write(records::Note{std::move(severity), std::move(reason), std::move(message)}).IgnoreError();
}

}  // namespace ft::rank
