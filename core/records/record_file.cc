#include "core/records/record_file.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>

#include "absl/time/clock.h"

namespace ft::records {
namespace {

// Nobody writes empty frames, whose bytes would be these.
constexpr char kZerosInside[] = "zeros where a frame is expected, and more behind them";

uint32_t Crc(std::string_view bytes) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

uint32_t LoadU32(const char* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

void AppendU32(std::string& out, uint32_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// The whole frames at the start of `bytes`, and how many bytes they take.
struct Scan {
  std::vector<std::string> frames;
  size_t used = 0;
};

StatusOr<Scan> ScanFrames(std::string_view bytes, size_t max_frames, const std::filesystem::path& path) {
  Scan scan;
  while (scan.frames.size() < max_frames) {
    const StatusOr<std::string_view> payload = FrameAt(bytes.substr(scan.used));
    if (absl::IsOutOfRange(payload.status())) break;
    if (!payload.ok()) return absl::DataLossError(StrCat(path.string(), ": ", Message(payload.status())));
    scan.frames.emplace_back(*payload);
    scan.used += kFrameHeaderBytes + payload->size();
  }
  return scan;
}

// DATA_LOSS when the file has anything but zeros from `offset` on.
Status ExpectZeros(const RandomAccessFile& file, uint64_t offset) {
  std::string bytes;
  for (; offset < file.size(); offset += bytes.size()) {
    bytes.resize(std::min<uint64_t>(file.size() - offset, kMaxFrameBytes));
    RETURN_IF_ERROR(file.ReadAt(offset, std::as_writable_bytes(std::span(bytes))));
    if (bytes.find_first_not_of('\0') == std::string::npos) continue;
    return absl::DataLossError(StrCat(file.path().string(), ": ", kZerosInside));
  }
  return absl::OkStatus();
}

}  // namespace

Status AppendFrame(std::string_view payload, std::string* out) {
  if (payload.empty()) return absl::InvalidArgumentError("record of 0 bytes");
  if (payload.size() > kMaxFrameBytes) {
    return absl::InvalidArgumentError(
        StrCat("record of ", payload.size(), " bytes, at most ", kMaxFrameBytes));
  }
  out->reserve(out->size() + kFrameHeaderBytes + payload.size());
  AppendU32(*out, static_cast<uint32_t>(payload.size()));
  AppendU32(*out, Crc(payload));
  out->append(payload);
  return absl::OkStatus();
}

StatusOr<std::string_view> FrameAt(std::string_view bytes) {
  if (bytes.size() < kFrameHeaderBytes) return absl::OutOfRangeError("torn frame");
  const uint32_t length = LoadU32(bytes.data());
  if (length > kMaxFrameBytes) {
    return absl::DataLossError(
        StrCat("frame of ", length, " bytes, at most ", kMaxFrameBytes, " are allowed"));
  }
  if (bytes.size() < kFrameHeaderBytes + length) return absl::OutOfRangeError("torn frame");
  const std::string_view payload = bytes.substr(kFrameHeaderBytes, length);
  if (length > 0 && Crc(payload) == LoadU32(bytes.data() + 4)) return payload;
  const size_t zeros = bytes.find_last_not_of('\0') + 1;  // Where those at the end begin.
  if (zeros < kFrameHeaderBytes + length) return absl::OutOfRangeError("torn frame");
  return absl::DataLossError(length > 0 ? StrCat("wrong checksum in a frame of ", length, " bytes")
                                        : kZerosInside);
}

StatusOr<FrameWriter> FrameWriter::Open(const std::filesystem::path& path) {
  FrameWriter writer;
  writer.path_ = path;
  writer.fd_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!writer.fd_.valid()) return ErrnoStatus("open", path, errno);
  ASSIGN_OR_RETURN(const std::string content, ReadFile(path, uint64_t{1} << 32));
  ASSIGN_OR_RETURN(Scan scan, ScanFrames(content, SIZE_MAX, path));
  if (scan.used < content.size() && ::ftruncate(writer.fd_.get(), static_cast<off_t>(scan.used)) != 0) {
    return ErrnoStatus("cut the torn end of", path, errno);
  }
  writer.existing_ = std::move(scan.frames);
  return writer;
}

Status FrameWriter::Append(std::string_view payload) {
  std::string frame;
  RETURN_IF_ERROR(AppendFrame(payload, &frame));
  const off_t start = ::lseek(fd_.get(), 0, SEEK_END);
  ssize_t written;
  do {
    written = ::write(fd_.get(), frame.data(), frame.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(frame.size())) return absl::OkStatus();
  const int error = written < 0 ? errno : ENOSPC;
  if (::ftruncate(fd_.get(), start) != 0) return ErrnoStatus("cut the torn end of", path_, errno);
  return ErrnoStatus("append to", path_, error);
}

StatusOr<std::vector<std::string>> FrameReader::Next(size_t max_frames) {
  StatusOr<RandomAccessFile> file = RandomAccessFile::Open(path_);
  if (absl::IsNotFound(file.status())) return std::vector<std::string>();
  RETURN_IF_ERROR(file.status());
  if (file->size() <= offset_) return std::vector<std::string>();
  const uint64_t available = file->size() - offset_;
  std::string bytes(std::min<uint64_t>(available, 2 * (kMaxFrameBytes + kFrameHeaderBytes)), '\0');
  RETURN_IF_ERROR(file->ReadAt(offset_, std::as_writable_bytes(std::span(bytes))));
  ASSIGN_OR_RETURN(Scan scan, ScanFrames(bytes, max_frames, path_));
  // Longer than any frame and torn: zeros, if the rest of the file is.
  if (scan.used == 0 && max_frames > 0) RETURN_IF_ERROR(ExpectZeros(*file, offset_ + bytes.size()));
  offset_ += scan.used;
  return std::move(scan.frames);
}

StatusOr<RecordWriter> RecordWriter::Open(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(FrameWriter frames, FrameWriter::Open(path));
  RecordWriter writer(std::move(frames));
  if (!writer.frames_.existing().empty()) {
    ASSIGN_OR_RETURN(const Record last, Decode(writer.frames_.existing().back()));
    writer.sequence_ = last.sequence;
  }
  return writer;
}

Status RecordWriter::Write(decltype(Record::body) body) {
  const Record record{
      .sequence = sequence_ + 1, .unix_nanos = absl::GetCurrentTimeNanos(), .body = std::move(body)};
  RETURN_IF_ERROR(frames_.Append(Encode(record)));
  ++sequence_;
  return absl::OkStatus();
}

StatusOr<std::vector<Record>> ReadRecords(const std::filesystem::path& path) {
  FrameReader reader(path);
  std::vector<Record> records;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<std::string> frames, reader.Next());
    if (frames.empty()) return records;
    for (const std::string& frame : frames) {
      ASSIGN_OR_RETURN(Record record, Decode(frame));
      records.push_back(std::move(record));
    }
  }
}

}  // namespace ft::records
