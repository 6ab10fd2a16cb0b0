// Data larger than the memory that its preparation takes.
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "core/base/sha256.h"
#include "tests/support/temp_dir.h"
#include "worker/data/prepare/prepare.h"

namespace ft::prepare {
namespace {

constexpr int kSamples = 30000, kLength = 512;  // 77 MB of tokens.

int32_t IdAt(int sample, int t) { return (sample * 31 + t * 7) % 1000; }

void WriteSamples(const std::filesystem::path& path) {
  std::ofstream out(path);
  std::string line;
  for (int i = 0; i < kSamples; ++i) {
    line = "{\"input_ids\": [";
    for (int t = 0; t < kLength; ++t) StrAppend(&line, t == 0 ? "" : ",", IdAt(i, t));
    out << line << "]}\n";
  }
}

// The cache as its format says, made without what prepares it.
std::string ExpectedDigest() {
  Sha256 digest;
  const auto add = [&](const void* data, size_t size) {
    digest.Update(std::string_view(static_cast<const char*>(data), size));
  };
  const uint64_t tokens = uint64_t{kSamples} * kLength;
  const uint64_t header[4] = {kSamples, tokens, tokens - kSamples, 0};
  digest.Update("FTTOKEN1");
  add(header, sizeof(header));
  for (uint64_t i = 0; i <= kSamples; ++i) {
    const uint64_t offset = i * kLength;
    add(&offset, sizeof(offset));
  }
  std::vector<int32_t> ids(kLength);
  for (int i = 0; i < kSamples; ++i) {
    for (int t = 0; t < kLength; ++t) ids[static_cast<size_t>(t)] = IdAt(i, t);
    add(ids.data(), ids.size() * sizeof(int32_t));
  }
  const std::string marks(kLength, '\1');
  for (int i = 0; i < kSamples; ++i) digest.Update(marks);
  return Hex(digest.Finish());
}

// What a process that prepares the file takes beyond what it begins with, in KiB.
int64_t GrowthOfPreparing(const PrepareRequest& request) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    rusage before{}, after{};
    ::getrusage(RUSAGE_SELF, &before);
    const bool prepared = Prepare(request).ok();
    ::getrusage(RUSAGE_SELF, &after);
    const int64_t growth = prepared ? after.ru_maxrss - before.ru_maxrss : -1;
    _exit(::write(ends[1], &growth, sizeof(growth)) == sizeof(growth) ? 0 : 1);
  }
  ::close(ends[1]);
  int64_t growth = -1;
  EXPECT_EQ(::read(ends[0], &growth, sizeof(growth)), static_cast<ssize_t>(sizeof(growth)));
  ::close(ends[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return growth;
}

TEST(PrepareMemoryTest, DataLargerThanTheMemoryGivesTheSameCache) {
  const ft::testing::TempDir dir;
  WriteSamples(dir / "t.jsonl");
  PrepareRequest request;
  request.vocab_size = 1000;
  request.roots.allowed = {dir.path()};
  request.cache_dir = dir / "cache";
  request.spec.train.max_length = kLength;
  request.spec.data.resize(1);
  request.spec.data[0].source = (dir / "t.jsonl").string();
  request.spec.data[0].format = "tokens";
  const int64_t growth = GrowthOfPreparing(request);
  ASSERT_GE(growth, 0) << "it could not be prepared";
#if !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)  // Which keep what is given back, or have shadows of it.
  EXPECT_LT(growth, 48 << 10) << "KiB beside 77 MB of tokens";
#endif
  EXPECT_TRUE(std::filesystem::exists(dir / "cache" / (ExpectedDigest() + ".ftt")));
}

}  // namespace
}  // namespace ft::prepare
