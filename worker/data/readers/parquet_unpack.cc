#include "worker/data/readers/parquet_unpack.h"

#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include <iterator>
#include <utility>

namespace ft::data {
namespace {

Status Damaged() { return absl::InvalidArgumentError("a page cannot be unpacked"); }

// The most that a byte of each codec can become.
constexpr uint64_t kSnappyRatio = 24, kGzipRatio = 1040, kZstdRatio = 65536;
// For headers, so that short texts are never refused.
constexpr uint64_t kSlack = 64;

bool Possible(uint64_t packed, uint64_t size, uint64_t ratio) { return size <= (packed + kSlack) * ratio; }

StatusOr<std::string> FromSnappy(std::string_view packed, uint64_t size) {
  size_t unpacked = 0;
  if (snappy_uncompressed_length(packed.data(), packed.size(), &unpacked) != SNAPPY_OK || unpacked != size ||
      !Possible(packed.size(), size, kSnappyRatio))
    return Damaged();
  std::string out(size, '\0');
  if (snappy_uncompress(packed.data(), packed.size(), out.data(), &unpacked) != SNAPPY_OK || unpacked != size)
    return Damaged();
  return out;
}

StatusOr<std::string> FromGzip(std::string_view packed, uint64_t size) {
  if (!Possible(packed.size(), size, kGzipRatio)) return Damaged();
  std::string out(size, '\0');
  z_stream stream = {};
  constexpr int kGzipOrZlib = 15 + 32;
  if (inflateInit2(&stream, kGzipOrZlib) != Z_OK) return Damaged();
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(size);
  const int result = inflate(&stream, Z_FINISH);
  const bool whole = result == Z_STREAM_END && stream.avail_out == 0;
  inflateEnd(&stream);
  if (!whole) return Damaged();
  return out;
}

StatusOr<std::string> FromZstd(std::string_view packed, uint64_t size) {
  const unsigned long long claimed = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (claimed == ZSTD_CONTENTSIZE_ERROR || (claimed != ZSTD_CONTENTSIZE_UNKNOWN && claimed > size) ||
      !Possible(packed.size(), size, kZstdRatio))
    return Damaged();
  std::string out(size, '\0');
  const size_t got = ZSTD_decompress(out.data(), out.size(), packed.data(), packed.size());
  if (ZSTD_isError(got) != 0 || got != size) return Damaged();
  return out;
}

}  // namespace

StatusOr<std::string> UnpackParquet(int64_t codec, std::string packed, uint64_t size) {
  constexpr std::string_view kNotRead[] = {"", "", "", "lzo", "brotli", "lz4", "", "lz4_raw"};
  if (size > kMaxParquetPageBytes || packed.size() > kMaxParquetPageBytes)
    return absl::InvalidArgumentError("a page is longer than 256 MiB; write it with smaller pages");
  switch (codec) {
    case 0:
      if (packed.size() != size) return Damaged();
      return packed;
    case 1: return FromSnappy(packed, size);
    case 2: return FromGzip(packed, size);
    case 6: return FromZstd(packed, size);
    default: break;
  }
  const bool known = codec >= 0 && codec < static_cast<int64_t>(std::size(kNotRead));
  return absl::InvalidArgumentError(StrCat("its pages are packed with ",
                                           known ? kNotRead[codec] : StrCat("codec ", codec),
                                           ", which is not read; write it with snappy, gzip or zstd"));
}

}  // namespace ft::data
