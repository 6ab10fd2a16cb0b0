// Bytes a second, one thread. Run: build/dev/kernels/sha256/kernels_sha256_bench
#include <openssl/sha.h>

#include <vector>

#include "benchmark/benchmark.h"
#include "kernels/sha256/sha256_grid.h"
#include "kernels/sha256/sha256_lanes.h"

namespace ft::kernels {
namespace {

const std::vector<uint8_t>& Leaves() {
  static const std::vector<uint8_t> bytes(kSha256Lanes * kLeafBytes, 0x5a);
  return bytes;
}

void BM_Together(benchmark::State& state) {
  if (!HasSha256Lanes()) return state.SkipWithError("this CPU's vectors are shorter than 512 bits");
  std::vector<const uint8_t*> pieces;
  for (int64_t i = 0; i < kSha256Lanes; ++i) pieces.push_back(Leaves().data() + i * kLeafBytes);
  std::vector<uint8_t> digests(kSha256Lanes * kDigestBytes);
  for (auto _ : state) {
    Sha256OfLanes(pieces.data(), kLeafBytes, digests.data());
    benchmark::DoNotOptimize(digests.data());
  }
  state.SetBytesProcessed(state.iterations() * kSha256Lanes * kLeafBytes);
}
BENCHMARK(BM_Together);

void BM_OneByOne(benchmark::State& state) {
  std::vector<uint8_t> digest(kDigestBytes);
  for (auto _ : state) {
    for (int64_t i = 0; i < kSha256Lanes; ++i)
      SHA256(Leaves().data() + i * kLeafBytes, kLeafBytes, digest.data());
    benchmark::DoNotOptimize(digest.data());
  }
  state.SetBytesProcessed(state.iterations() * kSha256Lanes * kLeafBytes);
}
BENCHMARK(BM_OneByOne);

}  // namespace
}  // namespace ft::kernels

BENCHMARK_MAIN();
