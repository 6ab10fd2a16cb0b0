// Where the tiles of a state rest while nobody computes with them. All of it is taken when the tier is made, so that a lack of room is an error
// of the first second.
#pragma once

#include <torch/types.h>

#include <functional>
#include <string>
#include <utility>

#include "core/base/status.h"
#include "core/plan/state_tiles.h"

namespace ft::offload {

// Waits for what was started, and tells how it ended. To be called once.
using Pending = std::function<Status()>;

// Lives on the training thread, whatever threads a tier has of its own. Tiles are zeros at first.
class Tier {
 public:
  virtual ~Tier() = default;
  Tier(const Tier&) = delete;
  Tier& operator=(const Tier&) = delete;

  const plan::StateTiles& tiles() const { return tiles_; }
  // "host memory", "/data/offload".
  virtual std::string place() const = 0;
  // uint8 memory for the largest tile, where the tier brings tiles to and takes them from.
  virtual torch::Tensor NewBuffer() const = 0;
  // Begins to fill the front of a buffer from NewBuffer() with the tile, or the tile from it. Nobody touches the buffer until the result was
  // called; tiles and buffers that operations under way have in common are their caller's mistake. Errors name the tile and the cause:
  // RESOURCE_EXHAUSTED for a full disk, else ABORTED.
  Pending StartRead(size_t tile, const torch::Tensor& buffer);
  Pending StartWrite(size_t tile, const torch::Tensor& buffer);
  // Held, and moved so far.
  const plan::TierBytes& bytes() const { return bytes_; }

 protected:
  explicit Tier(plan::StateTiles tiles) : tiles_(std::move(tiles)), bytes_{.held = tiles_.bytes()} {}
  const plan::StateTiles::Tile& tile(size_t index) const { return tiles_.tiles()[index]; }

 private:
  virtual Pending Read(size_t tile, const torch::Tensor& bytes) = 0;
  virtual Pending Write(size_t tile, const torch::Tensor& bytes) = 0;

  const plan::StateTiles tiles_;
  plan::TierBytes bytes_;
};

// Calls `body` for every tile in order, with a buffer that holds it; what body leaves there is the tile afterwards. Meanwhile the next tile is
// read and the last one written, in three buffers.
class TilePipe {
 public:
  using Body = std::function<Status(size_t tile, const torch::Tensor& buffer)>;

  // The tier outlives the pipe.
  explicit TilePipe(Tier& tier);
  // The first error of body or of the tier; then tiles hold the old bytes or the new ones.
  Status Run(const Body& body);

 private:
  Tier& tier_;
  std::vector<torch::Tensor> buffers_;
};

}  // namespace ft::offload
