#include "worker/train/offload/disk_tier.h"

#include "worker/train/offload/movers.h"

namespace ft::offload {
namespace {

class DiskTier final : public Tier {
 public:
  DiskTier(plan::StateTiles tiles, std::unique_ptr<TileFile> file, DiskOptions options)
      : Tier(std::move(tiles)), file_(std::move(file)), options_(options), movers_(options.threads) {}

  std::string place() const override { return file_->folder().string(); }

  torch::Tensor NewBuffer() const override { return AlignedMemory(tiles().largest(), options_.pinned); }

 private:
  Pending Read(size_t tile, const torch::Tensor& bytes) override {
    return Start(tile, bytes, /*writes=*/false);
  }
  Pending Write(size_t tile, const torch::Tensor& bytes) override {
    return Start(tile, bytes, /*writes=*/true);
  }

  Pending Start(size_t index, const torch::Tensor& bytes, bool writes) {
    return [this, index, writes, transfer = movers_.Start(file_, tile(index).begin, bytes, writes)] {
      const int error = movers_.Wait(*transfer, options_.timeout);
      if (options_.progress) options_.progress();
      if (error == 0) return absl::OkStatus();
      return MoveFailed(StrCat("tile ", index + 1, " of ", tiles().tiles().size(),
                               " of the optimizer's state in ", place()),
                        writes, error);
    };
  }

  const std::shared_ptr<TileFile> file_;
  const DiskOptions options_;
  Movers movers_;
};

}  // namespace

std::unique_ptr<Tier> MakeDiskTier(plan::StateTiles tiles, std::unique_ptr<TileFile> file,
                                   DiskOptions options) {
  return std::make_unique<DiskTier>(std::move(tiles), std::move(file), options);
}

}  // namespace ft::offload
