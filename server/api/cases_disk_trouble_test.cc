#include <gtest/gtest.h>

#include "server/api/disk_trouble.h"

namespace ft::api {
namespace {

const Status kFull =
    absl::ResourceExhaustedError("cannot write /d/model.safetensors.part: No space left on device");

// 191
TEST(CasesDiskTrouble, IsSaidWhileItLastsAndLoggedOnceAMinute) {
  DiskTrouble trouble;
  const absl::Time start = absl::UnixEpoch();
  EXPECT_TRUE(trouble.Note("j1", kFull, start));
  EXPECT_NE(trouble.Of("j1", start).find("the disk is full: cannot write /d/model.safetensors.part"),
            std::string::npos);
  EXPECT_EQ(trouble.Of("j2", start), "");
  for (int second = 2; second < 60; second += 2) {
    EXPECT_FALSE(trouble.Note("j1", kFull, start + absl::Seconds(second))) << second;
  }
  EXPECT_TRUE(trouble.Note("j1", kFull, start + absl::Seconds(61)));
  EXPECT_EQ(trouble.Of("j1", start + absl::Seconds(80)), "");
}

TEST(CasesDiskTrouble, AStoreWithoutRoomIsEveryJobsTrouble) {
  DiskTrouble trouble;
  const absl::Time start = absl::UnixEpoch();
  trouble.NoteStore("/d", start);
  EXPECT_EQ(trouble.Of("j1", start),
            "the disk is full: cannot write into /d: No space left on device; the job waits for room");
  trouble.Note("j1", kFull, start);
  EXPECT_NE(trouble.Of("j1", start).find("model.safetensors.part"), std::string::npos);
  EXPECT_NE(trouble.Of("j2", start).find("cannot write into /d"), std::string::npos);
  EXPECT_EQ(trouble.Of("j2", start + absl::Seconds(20)), "");
}

TEST(CasesDiskTrouble, OtherFailuresAreNone) {
  DiskTrouble trouble;
  const absl::Time now = absl::UnixEpoch();
  EXPECT_FALSE(trouble.Note("j1", absl::OkStatus(), now));
  EXPECT_FALSE(trouble.Note("j1", absl::ResourceExhaustedError("the queue is full"), now));
  EXPECT_FALSE(trouble.Note("j1", absl::UnavailableError("away"), now));
  EXPECT_EQ(trouble.Of("j1", now), "");
}

}  // namespace
}  // namespace ft::api
