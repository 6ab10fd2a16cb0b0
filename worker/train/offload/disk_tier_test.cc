#include "worker/train/offload/disk_tier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "tests/support/temp_dir.h"
#include "worker/device/staging.h"
#include "worker/train/offload/failing_file_fixture.h"

namespace ft::offload {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Of AdamW, the last of them short.
plan::StateTiles Tiles(int64_t tile_weights, int64_t tiles = 20) {
  const plan::SliceTable table = plan::SliceTable::Of({{"w", {tiles * tile_weights - 700}, 0}});
  return plan::StateTiles::Of(table, plan::Share::Whole(table.elements()), plan::StateArraysOf("adamw"),
                              tile_weights);
}

// Tiles that are moved at once; larger ones go in pieces of a MiB.
constexpr int64_t kSmall = 16 * plan::kGranule;

// Adds `number` to each byte.
Status AddToAll(TilePipe& pipe, int number) {
  return pipe.Run([&](size_t, const torch::Tensor& buffer) {
    torch::Tensor(buffer).add_(number);
    return absl::OkStatus();
  });
}

// Every tile is `number` throughout.
Status ExpectAll(Tier& tier, TilePipe& pipe, int number) {
  return pipe.Run([&](size_t tile, const torch::Tensor& buffer) {
    const torch::Tensor bytes = buffer.narrow(0, 0, tier.tiles().tiles()[tile].bytes);
    EXPECT_TRUE((bytes == number).all().item<bool>()) << tile;
    return absl::OkStatus();
  });
}

TEST(DiskTierTest, TilesComeAsTheyWereLeft) {
  const ft::testing::TempDir dir;
  // Tiles of one piece, and of several; pieces that go at once, and in parts.
  for (const auto& [tiles, most] : {std::pair{Tiles(kSmall), int64_t{1} << 20},
                                    {Tiles(kSmall), plan::kTileAlignment},
                                    {Tiles(3 << 16, /*tiles=*/4), 100 * plan::kTileAlignment}}) {
    const auto tier = MakeDiskTier(tiles, OpenFailing(dir.path(), tiles.bytes(), {.most_bytes = most}));
    TilePipe pipe(*tier);
    EXPECT_TRUE(ExpectAll(*tier, pipe, 0).ok());
    EXPECT_TRUE(AddToAll(pipe, 3).ok());
    EXPECT_TRUE(AddToAll(pipe, 4).ok());
    EXPECT_TRUE(ExpectAll(*tier, pipe, 7).ok());
    EXPECT_EQ(tier->bytes(), tiles.AfterSteps(4));
  }
}

struct Case {
  Fault fault;
  const char* told;
  absl::StatusCode code;
};

TEST(DiskTierTest, TheFirstFaultIsToldWithTileAndErrno) {
  const ft::testing::TempDir dir;
  const auto aborted = absl::StatusCode::kAborted, full = absl::StatusCode::kResourceExhausted;
  const plan::StateTiles tiles = Tiles(kSmall);
  for (const Case& expected : {Case{{.read = 1, .error = EIO},
                                    "tile 1 of 20 %could not be read: Input/output error (errno 5)",
                                    aborted},
                               Case{{.read = 2, .error = EIO},
                                    "tile 2 of 20 %could not be read: Input/output error (errno 5)",
                                    aborted},
                               Case{{.read = 17, .error = EIO},
                                    "tile 17 of 20 %could not be read: Input/output error (errno 5)",
                                    aborted},
                               Case{{.write = 1, .error = EIO},
                                    "tile 1 of 20 %could not be written: Input/output error (errno 5)",
                                    aborted},
                               Case{{.write = 2, .error = ENOSPC},
                                    "tile 2 of 20 %could not be written: No space left on device (errno 28)",
                                    full},
                               Case{{.write = 17, .error = ENOSPC},
                                    "tile 17 of 20 %could not be written: No space left on device (errno 28)",
                                    full},
                               Case{{.write = 20, .error = EIO},
                                    "tile 20 of 20 %could not be written: Input/output error (errno 5)",
                                    aborted}}) {
    // One thread: the n-th operation is of the n-th tile then.
    const auto tier =
        MakeDiskTier(tiles, OpenFailing(dir.path(), tiles.bytes(), expected.fault), {.threads = 1});
    TilePipe pipe(*tier);
    const Status ended = AddToAll(pipe, 1);
    std::string told = expected.told;
    told.replace(told.find('%'), 1, StrCat("of the optimizer's state in ", dir.path().string(), " "));
    EXPECT_EQ(ended.code(), expected.code) << ended;
    EXPECT_EQ(Message(ended), told);
  }
}

TEST(DiskTierTest, EachTileThatCameOrWentIsProgress) {
  const ft::testing::TempDir dir;
  const plan::StateTiles tiles = Tiles(kSmall);
  int told = 0;
  const auto tier =
      MakeDiskTier(tiles, OpenFailing(dir.path(), tiles.bytes(), {}), {.progress = [&] { ++told; }});
  TilePipe pipe(*tier);
  EXPECT_TRUE(AddToAll(pipe, 1).ok());
  EXPECT_EQ(told, 2 * 20);
}

TEST(DiskTierTest, AFileThatIsTooShortIsAnError) {
  const ft::testing::TempDir dir;
  const plan::StateTiles tiles = Tiles(kSmall);
  const auto tier = MakeDiskTier(tiles, OpenFailing(dir.path(), tiles.bytes() / 2, {}));
  TilePipe pipe(*tier);
  EXPECT_THAT(Message(AddToAll(pipe, 1)), HasSubstr("could not be read: Input/output error (errno 5)"));
}

// A file that does not answer until it is let.
class StandingFile final : public TileFile {
 public:
  explicit StandingFile(std::shared_future<void> let) : let_(std::move(let)) {}
  int64_t ReadAt(int64_t, std::span<std::byte> to) override {
    let_.wait();
    return static_cast<int64_t>(to.size());
  }
  int64_t WriteAt(int64_t, std::span<const std::byte> from) override {
    return static_cast<int64_t>(from.size());
  }
  const std::filesystem::path& folder() const override { return folder_; }

 private:
  const std::shared_future<void> let_;
  const std::filesystem::path folder_ = "/standing";
};

TEST(DiskTierTest, ADiskThatStandsStillIsWaitedForSoLong) {
  std::promise<void> let;
  const auto tier = MakeDiskTier(Tiles(kSmall), std::make_unique<StandingFile>(let.get_future().share()),
                                 {.timeout = std::chrono::milliseconds(20)});
  TilePipe pipe(*tier);
  EXPECT_THAT(
      Message(AddToAll(pipe, 1)),
      AllOf(HasSubstr("tile 1 of 20"), HasSubstr("/standing could not be read: Connection timed out")));
  let.set_value();
}

}  // namespace
}  // namespace ft::offload
