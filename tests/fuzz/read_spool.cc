#include <fstream>
#include <string>
#include <string_view>

#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "server/spool/file_receiver.h"
#include "server/spool/journal.h"
#include "server/spool/log_file.h"
#include "tests/fuzz/readers.h"

namespace ft::fuzz {
namespace {

namespace fs = std::filesystem;

void Write(const fs::path& path, std::string_view content) {
  std::ofstream(path, std::ios::binary) << content;
}

// What a reader may have left beside the file.
void RemoveOthers(const fs::path& path) {
  for (const auto& entry : fs::directory_iterator(path.parent_path())) {
    if (entry.path() != path) fs::remove_all(entry.path());
  }
}

}  // namespace

// As a start after a crash finds it; the store knows one job. Whatever is in it, it is gone afterwards.
Status ReadJournal(const fs::path& path) {
  RemoveOthers(path);
  const fs::path root = path.parent_path() / "data";
  RETURN_IF_ERROR(MakeDirectories(root / "journal"));
  fs::copy_file(path, root / "journal" / path.filename());
  spool::Journal journal(root, [](int, const fs::path&) { return absl::OkStatus(); });
  RETURN_IF_ERROR(journal.Recover([](const std::string& job_id) { return job_id == "j1"; }));
  FT_CHECK(fs::is_empty(root / "journal")) << "a journal is left";
  return absl::OkStatus();
}

// Beside the 100 bytes of a log.
Status ReadLogGaps(const fs::path& path) {
  const fs::path log = fs::path(path).replace_extension();
  Write(log, std::string(100, 'x'));
  ASSIGN_OR_RETURN(const spool::LogFile file, spool::LogFile::Open(log));
  FT_CHECK(file.end() >= 0) << file.end();
  return absl::OkStatus();
}

// How far a transfer of "hello" had come, of which all bytes are there. It goes on from what it takes that to be.
Status ReadTransfer(const fs::path& path) {
  RemoveOthers(path);
  const std::string content = "hello";
  const fs::path file = path.parent_path() / "file";
  Write(file.string() + ".part", content);
  const auto size = static_cast<int64_t>(content.size());
  const int64_t saved = spool::FileReceiver::SavedBytes(file);
  FT_CHECK(saved >= 0 && saved <= size) << saved;
  ASSIGN_OR_RETURN(spool::FileReceiver receiver,
                   spool::FileReceiver::Open({file, Hex(Sha256Of(content)), size, size}));
  const int64_t received = receiver.received();
  FT_CHECK(received >= 0 && received <= size) << received;
  return receiver.Append(received, content.substr(static_cast<size_t>(received)));
}

}  // namespace ft::fuzz
