#include "server/spool/log_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>

#include "core/base/str_cat.h"

namespace ft::spool {
namespace {

// A gap stands for many megabytes, so this is far beyond what any stream has.
constexpr uint64_t kMaxGapsBytes = 1 << 20;

std::string LineOf(int64_t lost) {
  return StrCat("\n[", lost, " bytes are missing here: the node could not keep them]\n");
}

int64_t LengthOf(int64_t lost) { return static_cast<int64_t>(LineOf(lost).size()); }

}  // namespace

std::filesystem::path LogFile::GapsPath() const { return path_.string() + ".gaps"; }

StatusOr<LogFile> LogFile::Open(std::filesystem::path path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus("open", path, errno);
  const int64_t size = ::lseek(fd.get(), 0, SEEK_END);
  if (size < 0) return ErrnoStatus("measure", path, errno);
  LogFile file(std::move(path), std::move(fd), size);
  RETURN_IF_ERROR(file.ReadGaps());
  RETURN_IF_ERROR(file.FinishLine());
  return file;
}

Status LogFile::ReadGaps() {
  const auto text = ReadFile(GapsPath(), kMaxGapsBytes);
  if (absl::IsNotFound(text.status())) return absl::OkStatus();
  RETURN_IF_ERROR(text.status());
  std::istringstream lines(*text);
  int64_t before = 0, room = kMaxStreamBytes;
  for (Gap gap; lines >> gap.stored >> gap.lost; room -= gap.lost) {
    if (gap.stored < before || gap.lost < 1 || gap.lost > room) {
      return absl::DataLossError(StrCat(GapsPath().string(), " is damaged: ", gap.stored, " ", gap.lost));
    }
    // A gap that was noted and whose line was never begun will be noted again.
    if (gap.stored > size_) break;
    before = gap.stored + LengthOf(gap.lost);
    gaps_.push_back(gap);
  }
  return absl::OkStatus();
}

Status LogFile::FinishLine() {
  if (gaps_.empty()) return absl::OkStatus();
  const std::string line = LineOf(gaps_.back().lost);
  const int64_t there = size_ - gaps_.back().stored;
  return there < static_cast<int64_t>(line.size())
             ? Append(std::string_view(line).substr(static_cast<size_t>(there)))
             : absl::OkStatus();
}

int64_t LogFile::end() const {
  int64_t end = size_;
  for (const Gap& gap : gaps_) end += gap.lost - LengthOf(gap.lost);
  return end;
}

Status LogFile::Append(std::string_view data) {
  const ssize_t written = ::write(fd_.get(), data.data(), data.size());
  if (written != static_cast<ssize_t>(data.size())) {
    return ErrnoStatus("write", path_, written < 0 ? errno : ENOSPC);
  }
  size_ += written;
  return absl::OkStatus();
}

Status LogFile::Sync() {
  return ::fdatasync(fd_.get()) == 0 ? absl::OkStatus() : ErrnoStatus("fdatasync", path_, errno);
}

Status LogFile::NoteLoss(int64_t bytes) {
  gaps_.push_back({size_, bytes});
  std::string text;
  for (const Gap& gap : gaps_) text += StrCat(gap.stored, " ", gap.lost, "\n");
  RETURN_IF_ERROR(WriteFileDurably(GapsPath(), text));
  return Append(LineOf(bytes));
}

}  // namespace ft::spool
