// Fused epilogues on the float32 accumulators of a group of linear layers that read one input: RoPE on Q and
// K, SwiGLU on gate and up. Results are rounded once; between the GEMMs of a block nothing else is rounded.
// Legend: N rows, O outputs of a layer, H heads of it, D head size, F width of the MLP.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace ft::ops {

class Epilogue {
 public:
  virtual ~Epilogue() = default;
  // The results, in `type`, of the layers' outputs, float32, contiguous. Appends to `saved` what Backward
  // reads, unless it is null.
  virtual std::vector<torch::Tensor> Forward(const std::vector<torch::Tensor>& y_NO, at::ScalarType type,
                                             std::vector<torch::Tensor>* saved) const = 0;
  // The gradients of the outputs, in the type of those of the results.
  virtual std::vector<torch::Tensor> Backward(const std::vector<torch::Tensor>& gradients,
                                              const std::vector<torch::Tensor>& saved) const = 0;
};

// The rotary angles of a pass, float32, one row a token.
struct RopeTable {
  torch::Tensor cosine_NP;  // P = D / 2.
  torch::Tensor sine_NP;
};

struct HeadsOfLayer {
  int64_t heads = 0;
  bool rotated = false;  // Whether RoPE rotates the heads, by the angles of their rows.
};

// RoPE: each output as heads, N x H x D, rotated where its layer asks for it.
class RotaryEpilogue final : public Epilogue {
 public:
  RotaryEpilogue(RopeTable table, std::vector<HeadsOfLayer> layers)
      : table_(std::move(table)), layers_(std::move(layers)) {}
  std::vector<torch::Tensor> Forward(const std::vector<torch::Tensor>& y_NO, at::ScalarType type,
                                     std::vector<torch::Tensor>* saved) const override;
  std::vector<torch::Tensor> Backward(const std::vector<torch::Tensor>& gradients,
                                      const std::vector<torch::Tensor>& saved) const override;

 private:
  const RopeTable table_;
  const std::vector<HeadsOfLayer> layers_;
};

// SwiGLU of two outputs, gate and up: silu(gate) * up, N x F. Saves both inputs.
class GateEpilogue final : public Epilogue {
 public:
  std::vector<torch::Tensor> Forward(const std::vector<torch::Tensor>& y_NO, at::ScalarType type,
                                     std::vector<torch::Tensor>* saved) const override;
  std::vector<torch::Tensor> Backward(const std::vector<torch::Tensor>& gradients,
                                      const std::vector<torch::Tensor>& saved) const override;
};

}  // namespace ft::ops
