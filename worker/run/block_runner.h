// Walks a decoder's blocks itself: the embedding is block -1, final norm and head are block L. There is no
// autograd graph across blocks; each block's own graph is differentiated when the walk comes back to it, with
// or without recomputation, and the gradients are the same bits either way.
//
// Lives on the training thread.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <vector>

#include "worker/model/decoder.h"
#include "worker/run/micro_batch.h"

namespace ft::run {

struct RunnerOptions {
  at::ScalarType compute = at::kFloat;
  bool checkpointing = true;  // Keep only the blocks' inputs and compute the rest again in backward.
};

class BlockRunner {
 public:
  // Receives the gradient of a trainable slot, in float32, once a use and pass.
  using GradientSink = std::function<void(const ops::WeightSlot& slot, const torch::Tensor& gradient)>;

  // Config and weights outlive the runner.
  BlockRunner(const model::DecoderConfig& config, const model::DecoderWeights& weights,
              RunnerOptions options);

  // Sum of the token losses, and gradient_scale * its gradients to `sink`. Dropout where `training` rows say
  // so.
  double ForwardBackward(const PackedRows& rows, std::shared_ptr<const ops::DropoutRows> dropout,
                         double gradient_scale, const GradientSink& sink) const;
  // Sum of the token losses, outside training.
  double Loss(const PackedRows& rows) const;
  // The rows that enter the head, [N, C], outside training. With a cache, rows continue its sequence.
  torch::Tensor Hidden(const PackedRows& rows, std::vector<model::LayerCache>* cache) const;

 private:
  struct BlockRun;  // One block's inputs and outputs.

  torch::Tensor Block(int64_t layer, const torch::Tensor& x_NC, const model::Pass& pass) const;
  torch::Tensor FinalNorm(const torch::Tensor& x_NC) const;
  // Final norm and head, forward and backward: returns the loss and sets the gradient of x.
  double HeadBackward(const PackedRows& rows, const torch::Tensor& x_NC, double gradient_scale,
                      torch::Tensor& dx_NC, const GradientSink& sink) const;
  std::vector<torch::Tensor> BlockBackward(int64_t layer, const BlockRun& run,
                                           const torch::Tensor& dout_NC) const;
  bool TrainsBelow(int64_t layer) const;  // The embedding, or any block before `layer`.

  const model::DecoderConfig& config_;
  const model::DecoderWeights& weights_;
  const RunnerOptions options_;
  std::vector<std::vector<const ops::WeightSlot*>> trainable_;  // Of each block, in a fixed order.
};

}  // namespace ft::run
