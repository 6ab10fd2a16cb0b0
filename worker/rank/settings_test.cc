#include "worker/rank/settings.h"

#include <gmock/gmock.h>

#include "worker/model/ops/micro_gemm.h"

namespace ft::rank {
namespace {

using ::testing::HasSubstr;

// A bf16 job rounds other things where bf16 is multiplied: its checkpoints must not pass for each other's.
TEST(NumericFingerprint, TellsCpusThatMultiplyBf16FromOthers) {
  const std::string fingerprint = NumericFingerprint(3);
  EXPECT_EQ(fingerprint.find("+bf16 ") != std::string::npos, ops::MultipliesBf16()) << fingerprint;
  EXPECT_THAT(fingerprint, HasSubstr(" threads=3 "));
  EXPECT_NE(fingerprint, NumericFingerprint(4));
}

}  // namespace
}  // namespace ft::rank
