#include "worker/train/offload/disk_weights.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "core/base/check.h"
#include "core/base/str_cat.h"
#include "core/plan/weight_rest.h"
#include "worker/model/params/unit_gatherer.h"
#include "worker/train/offload/movers.h"

namespace ft::offload {
namespace {

constexpr int64_t kBufferBytes = int64_t{4} << 20;
constexpr size_t kBuffers = 3;

// What all parts of a tier share: threads, and buffers on the way, one moved while another is read.
struct Way {
  explicit Way(DiskOptions disk_options)
      : options(std::move(disk_options)),
        buffers(AlignedMemory(static_cast<int64_t>(kBuffers) * kBufferBytes, options.pinned)),
        movers(options.threads) {}

  torch::Tensor Buffer(size_t window, int64_t bytes) const {
    return buffers.narrow(0, static_cast<int64_t>(window % kBuffers) * kBufferBytes, bytes);
  }

  const DiskOptions options;
  const torch::Tensor buffers;
  plan::TierBytes bytes;
  Movers movers;
};

// Of a part, [begin, end), and of that what a caller asks for. A whole buffer, but for the first and the last.
struct Window {
  int64_t begin = 0, end = 0;
  int64_t from = 0, to = 0;
};

std::vector<Window> WindowsOf(int64_t begin, int64_t end) {
  std::vector<Window> windows;
  const int64_t last = plan::OnTier(end);
  for (int64_t at = begin / plan::kTileAlignment * plan::kTileAlignment; at < end; at += kBufferBytes) {
    const int64_t until = std::min(at + kBufferBytes, last);
    windows.push_back({at, until, std::max(begin, at), std::min(end, until)});
  }
  return windows;
}

class DiskBytes final : public params::RestingBytes {
 public:
  DiskBytes(Way& way, std::string what, int64_t size, std::unique_ptr<TileFile> file)
      : way_(way), what_(std::move(what)), size_(size), file_(std::move(file)) {}

  void Read(int64_t begin, const torch::Tensor& to) override {
    const std::vector<Window> windows = WindowsOf(begin, begin + to.numel());
    Check(begin, to.numel());
    std::array<Moving, kBuffers> moving;
    size_t started = 0;
    for (size_t i = 0; i < windows.size(); ++i) {
      for (; started < std::min(windows.size(), i + kBuffers); ++started)
        moving[started % kBuffers] = Start(windows[started], started, /*writes=*/false);
      End(moving[i % kBuffers], /*writes=*/false);
      // Waits until the bytes are there: the buffer is filled anew.
      to.narrow(0, windows[i].from - begin, windows[i].to - windows[i].from).copy_(Asked(windows[i], i));
    }
    way_.bytes.read += to.numel();
  }

  void Write(int64_t begin, const torch::Tensor& from) override {
    const std::vector<Window> windows = WindowsOf(begin, begin + from.numel());
    Check(begin, from.numel());
    std::array<Moving, kBuffers> moving;
    for (size_t i = 0; i < windows.size(); ++i) {
      const Window& window = windows[i];
      End(moving[i % kBuffers], /*writes=*/true);
      // The rest of a piece stays as it is; behind the part's end there is none.
      const bool is_whole = window.from == window.begin && window.to == std::min(window.end, size_);
      if (!is_whole) {
        Moving old = Start(window, i, /*writes=*/false);
        End(old, /*writes=*/false);
      }
      Asked(window, i).copy_(from.narrow(0, window.from - begin, window.to - window.from));
      moving[i % kBuffers] = Start(window, i, /*writes=*/true);
    }
    for (Moving& left : moving) End(left, /*writes=*/true);
    way_.bytes.written += from.numel();
  }

 private:
  using Moving = std::shared_ptr<Movers::Transfer>;

  void Check(int64_t begin, int64_t bytes) const {
    FT_CHECK(begin >= 0 && begin + bytes <= size_) << begin << " to " << begin + bytes << " of " << size_;
  }

  // The bytes that a caller asks for in the window's buffer.
  torch::Tensor Asked(const Window& window, size_t index) const {
    return way_.Buffer(index, window.end - window.begin)
        .narrow(0, window.from - window.begin, window.to - window.from);
  }

  Moving Start(const Window& window, size_t index, bool writes) {
    return way_.movers.Start(file_, window.begin, way_.Buffer(index, window.end - window.begin), writes);
  }

  void End(Moving& moving, bool writes) {
    if (moving == nullptr) return;
    const int error = way_.movers.Wait(*std::exchange(moving, nullptr), way_.options.timeout);
    if (way_.options.progress) way_.options.progress();
    if (error == 0) return;
    throw params::UnitUnavailable(MoveFailed(StrCat(what_, " in ", file_->folder().string()), writes, error));
  }

  Way& way_;
  const std::string what_;
  const int64_t size_;
  const std::shared_ptr<TileFile> file_;
};

class DiskWeights final : public params::WeightTier {
 public:
  DiskWeights(OpenFile open, DiskOptions options, std::function<void(const std::string&)> remark)
      : open_(std::move(open)), remark_(std::move(remark)), way_(std::move(options)) {}

  std::string place() const override { return place_; }

  std::unique_ptr<params::RestingBytes> Take(const std::string& what, int64_t bytes) override {
    const int64_t wanted = plan::OnTier(bytes);
    StatusOr<OpenedTileFile> opened = open_(wanted, what);
    if (!opened.ok()) throw params::UnitUnavailable(opened.status());
    if (remark_ && !opened->remark.empty() && said_.insert(opened->remark).second) remark_(opened->remark);
    place_ = opened->file->folder().string();
    way_.bytes.held += wanted;
    return std::make_unique<DiskBytes>(way_, what, bytes, std::move(opened->file));
  }

  const plan::TierBytes& bytes() const override { return way_.bytes; }

 private:
  const OpenFile open_;
  const std::function<void(const std::string&)> remark_;
  std::string place_ = "disk";
  std::set<std::string> said_;
  Way way_;
};

}  // namespace

std::unique_ptr<params::WeightTier> MakeDiskWeights(OpenFile open, DiskOptions options,
                                                    std::function<void(const std::string&)> remark) {
  return std::make_unique<DiskWeights>(std::move(open), std::move(options), std::move(remark));
}

}  // namespace ft::offload
