#include "client/stored/stored_logs.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <string>

#include "absl/strings/numbers.h"
#include "core/base/file.h"

namespace ft::client {
namespace {

namespace fs = std::filesystem;

constexpr size_t kChunkBytes = 128 << 10;

// A part of a file whose bytes lie where they lie in the stream.
struct Piece {
  fs::path path;
  int64_t begin = 0;
  int64_t end = 0;
};

int64_t SizeOf(const fs::path& path) {
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  return error ? 0 : static_cast<int64_t>(size);
}

// The first byte from `offset` on that is still there: workers give up the front of what grows too long.
int64_t FirstData(const fs::path& path, int64_t offset) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return offset;
  const off_t data = ::lseek(fd.get(), offset, SEEK_DATA);
  return data < 0 ? offset : static_cast<int64_t>(data);
}

// What the coordinator keeps of one stream of one rank, and what the worker's own file holds beyond that.
// Where the coordinator has noted that something is missing, the two cannot be laid side by side.
std::vector<Piece> PiecesOf(const fs::path& kept, const fs::path& own) {
  std::vector<Piece> pieces;
  const int64_t size = SizeOf(kept), all = SizeOf(own);
  if (size > 0) pieces.push_back({kept, 0, size});
  std::error_code error;
  if (all <= size || fs::exists(kept.string() + ".gaps", error)) return pieces;
  pieces.push_back({own, FirstData(own, size), all});
  return pieces;
}

// Leaves the last `bytes` bytes.
void KeepTail(std::vector<Piece>& pieces, int64_t bytes) {
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    piece->begin = std::max(piece->begin, piece->end - bytes);
    bytes = std::max<int64_t>(0, bytes - (piece->end - piece->begin));
  }
}

Status Visit(const Piece& piece, v1::LogChunk& chunk, const std::function<void(const v1::LogChunk&)>& visit) {
  if (piece.begin >= piece.end) return absl::OkStatus();
  const UniqueFd fd(::open(piece.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus("open", piece.path, errno);
  for (int64_t at = piece.begin; at < piece.end;) {
    std::string data(std::min<size_t>(kChunkBytes, static_cast<size_t>(piece.end - at)), '\0');
    const ssize_t got = ::pread(fd.get(), data.data(), data.size(), at);
    if (got < 0) return ErrnoStatus("read", piece.path, errno);
    if (got == 0) return absl::OkStatus();
    data.resize(static_cast<size_t>(got));
    chunk.set_offset(at);
    chunk.set_data(std::move(data));
    visit(chunk);
    at += got;
  }
  return absl::OkStatus();
}

// Ranks with a folder in one of both places, in order.
std::set<int32_t> RanksIn(const fs::path& kept, const fs::path& own) {
  std::set<int32_t> ranks;
  for (const fs::path& attempt : {kept, own}) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(attempt, error)) {
      const std::string name = entry.path().filename().string();
      int32_t rank = 0;
      if (name.starts_with("rank") && absl::SimpleAtoi(name.substr(4), &rank)) ranks.insert(rank);
    }
  }
  return ranks;
}

}  // namespace

Status VisitStoredLogs(const Session& session, const RunFolder& run, const v1::StreamLogsRequest& request,
                       const std::function<void(const v1::LogChunk&)>& visit) {
  const std::vector<Attempt> attempts = AttemptsOf(run.run_dir);
  const int64_t newest = attempts.empty() ? 1 : attempts.front().epoch;
  const int64_t epoch = request.epoch() > 0 ? request.epoch() : newest;
  const fs::path kept = PrivateSpool(session, run) / StrCat("e", epoch);
  const fs::path own = run.run_dir / "attempts" / StrCat(epoch);
  v1::LogChunk chunk;
  chunk.set_epoch(epoch);
  for (const int32_t rank : RanksIn(kept, own)) {
    if (request.rank() >= 0 && rank != request.rank()) continue;
    chunk.set_rank(rank);
    for (const char* stream : {"stdout", "stderr"}) {
      chunk.set_stream(stream);
      const std::string folder = StrCat("rank", rank);
      std::vector<Piece> pieces = PiecesOf(kept / folder / stream, own / folder / StrCat(stream, ".log"));
      if (request.tail_bytes() > 0) KeepTail(pieces, request.tail_bytes());
      for (const Piece& piece : pieces) RETURN_IF_ERROR(Visit(piece, chunk, visit));
    }
  }
  return absl::OkStatus();
}

}  // namespace ft::client
