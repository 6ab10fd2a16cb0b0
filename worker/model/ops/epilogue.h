// What becomes of the outputs of layers that read one input before anyone else sees them: rotary positions of queries and
// keys, the gate of the MLP. It takes float32 sums and rounds its results once; between the products of a block nothing
// else is rounded. Legend: N rows, O outputs of a layer, H heads of it, D head size, F width of the MLP.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace ft::ops {

class Epilogue {
 public:
  virtual ~Epilogue() = default;
  // The results, in `type`, of the layers' outputs, float32, contiguous. Appends to `saved` what Backward reads, unless
  // it is null.
  virtual std::vector<torch::Tensor> Forward(const std::vector<torch::Tensor>& y_NO, at::ScalarType type,
                                             std::vector<torch::Tensor>* saved) const = 0;
  // The gradients of the outputs, in the type of those of the results.
  virtual std::vector<torch::Tensor> Backward(const std::vector<torch::Tensor>& gradients,
                                              const std::vector<torch::Tensor>& saved) const = 0;
};

// The turning angles of a pass, float32, one row a token.
struct RopeTable {
  torch::Tensor cosine_NP;  // P = D / 2.
  torch::Tensor sine_NP;
};

struct HeadsOfLayer {
  int64_t heads = 0;
  bool turned = false;  // By its row's angles.
};

// Each output as heads, N x H x D.
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

// Of two outputs, gate and up: silu(gate) * up, N x F. Saves both inputs.
class GateEpilogue final : public Epilogue {
 public:
  std::vector<torch::Tensor> Forward(const std::vector<torch::Tensor>& y_NO, at::ScalarType type,
                                     std::vector<torch::Tensor>* saved) const override;
  std::vector<torch::Tensor> Backward(const std::vector<torch::Tensor>& gradients,
                                      const std::vector<torch::Tensor>& saved) const override;
};

}  // namespace ft::ops
