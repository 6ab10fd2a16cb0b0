// The spool format: frames of {u32 length, u32 crc32 of the payload, payload}, little-endian, appended to a file.
// A torn tail ends the readable part; a writer that opens the file cuts it off. It is what a crash leaves: a frame that
// the file ends in, or zeros from a frame's first bytes or its middle to the end of the file, where blocks were counted in
// and never written.
// docs/formats/control-plane.md says which files there are.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/file.h"
#include "core/records/records.h"

namespace ft::records {

inline constexpr uint32_t kMaxFrameBytes = 1 << 20;
inline constexpr size_t kFrameHeaderBytes = 8;

// Appends one frame to `out`. INVALID_ARGUMENT when the payload is longer than kMaxFrameBytes or empty: eight zeros would
// look like nothing.
Status AppendFrame(std::string_view payload, std::string* out);
// The payload of the frame that `bytes` begin with; they go on to the end of the file. OUT_OF_RANGE when it is torn,
// DATA_LOSS when its length is impossible or its checksum wrong.
StatusOr<std::string_view> FrameAt(std::string_view bytes);

// Appends frames. One thread. Every frame is one write(2), so a reader sees whole frames or a torn tail.
class FrameWriter {
 public:
  // Creates the file or goes on after its last whole frame.
  static StatusOr<FrameWriter> Open(const std::filesystem::path& path);
  Status Append(std::string_view payload);
  // Whole frames that were already there when it was opened.
  const std::vector<std::string>& existing() const { return existing_; }

 private:
  UniqueFd fd_;
  std::filesystem::path path_;
  std::vector<std::string> existing_;
};

// Reads whole frames from a file that may still grow. One thread.
class FrameReader {
 public:
  explicit FrameReader(std::filesystem::path path, uint64_t offset = 0)
      : path_(std::move(path)), offset_(offset) {}
  // The next whole frames, at most max_frames; empty when there is nothing new (or no file yet). DATA_LOSS when a frame
  // that is followed by more bytes has a wrong checksum or an impossible length.
  StatusOr<std::vector<std::string>> Next(size_t max_frames = 256);
  // Byte position after the last frame returned.
  uint64_t offset() const { return offset_; }

 private:
  std::filesystem::path path_;
  uint64_t offset_;
};

// Writes a rank's records with rising sequence numbers. One thread.
class RecordWriter {
 public:
  static StatusOr<RecordWriter> Open(const std::filesystem::path& path);
  Status Write(decltype(Record::body) body);
  uint64_t last_sequence() const { return sequence_; }

 private:
  explicit RecordWriter(FrameWriter frames) : frames_(std::move(frames)) {}
  FrameWriter frames_;
  uint64_t sequence_ = 0;
};

// All whole records of a file.
StatusOr<std::vector<Record>> ReadRecords(const std::filesystem::path& path);

}  // namespace ft::records
