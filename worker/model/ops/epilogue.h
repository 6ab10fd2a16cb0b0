// Fused epilogues on the float32 accumulators of a group of linear layers that read one input: RoPE on Q and
// K, SwiGLU on gate and up. Results are rounded once; between the GEMMs of a block nothing else is rounded.
// Legend: N rows, O outputs of a layer, H heads of it, K those of keys, D head size, F width of the MLP, L positions.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace ft::ops {

class Epilogue {
 public:
  virtual ~Epilogue() = default;
  // Whether Forward takes outputs that are columns of one matrix, so that their rows are dense and lie at a distance; else they are
  // contiguous.
  virtual bool ReadsSharedRows() const { return false; }
  // The results, in `type`, of the layers' outputs, float32. Appends to `saved` what Backward reads, unless it is null.
  virtual std::vector<torch::Tensor> Forward(const std::vector<torch::Tensor>& y_NO, at::ScalarType type,
                                             std::vector<torch::Tensor>* saved) const = 0;
  // The gradients of the outputs, in the type of those of the results, from theirs and what was saved in the same type.
  virtual std::vector<torch::Tensor> Backward(const std::vector<torch::Tensor>& gradients,
                                              const std::vector<torch::Tensor>& saved) const = 0;
};

// The rotary angles of positions, float32, and which of them the rows of a pass have.
struct RopeTable {
  torch::Tensor cosine_LP;  // P pairs of a head turn, at most D / 2.
  torch::Tensor sine_LP;
  torch::Tensor position_N;  // int32, below L.
  bool neighbours = false;   // As in kernels::RopeShape.
};

// The heads of rows rotated, by one kernel; a node of its own, where something stands between product and rotation.
std::pair<torch::Tensor, torch::Tensor> Rotate(const torch::Tensor& queries_NHD,
                                               const torch::Tensor& keys_NKD, const RopeTable& table);

struct HeadsOfLayer {
  int64_t heads = 0;
  bool rotated = false;  // Whether RoPE rotates the heads, by the angles of their rows.
};

// RoPE: each output as heads, N x H x D, rotated where its layer asks for it: at most two, by one kernel.
class RotaryEpilogue final : public Epilogue {
 public:
  RotaryEpilogue(RopeTable table, std::vector<HeadsOfLayer> layers)
      : table_(std::move(table)), layers_(std::move(layers)) {}
  bool ReadsSharedRows() const override { return true; }
  std::vector<torch::Tensor> Forward(const std::vector<torch::Tensor>& y_NO, at::ScalarType type,
                                     std::vector<torch::Tensor>* saved) const override;
  std::vector<torch::Tensor> Backward(const std::vector<torch::Tensor>& gradients,
                                      const std::vector<torch::Tensor>& saved) const override;

 private:
  const RopeTable table_;
  const std::vector<HeadsOfLayer> layers_;
};

// SwiGLU of two outputs, gate and up: silu(gate) * up, N x F. Saves both inputs. Behind the rows of a rounded result, here and below, lies
// `room` for the layer that reads them (joined_rows.h).
class GateEpilogue final : public Epilogue {
 public:
  explicit GateEpilogue(int64_t room = 0) : room_(room) {}
  bool ReadsSharedRows() const override { return true; }
  std::vector<torch::Tensor> Forward(const std::vector<torch::Tensor>& y_NO, at::ScalarType type,
                                     std::vector<torch::Tensor>* saved) const override;
  std::vector<torch::Tensor> Backward(const std::vector<torch::Tensor>& gradients,
                                      const std::vector<torch::Tensor>& saved) const override;

 private:
  const int64_t room_;
};

// Another activation of the first output, N x F, times the second where there are two. Saves its inputs.
class ActivationEpilogue final : public Epilogue {
 public:
  enum class Kind { kSilu, kGelu, kGeluTanh };
  explicit ActivationEpilogue(Kind kind, int64_t room = 0) : kind_(kind), room_(room) {}
  bool ReadsSharedRows() const override { return true; }
  std::vector<torch::Tensor> Forward(const std::vector<torch::Tensor>& y_NO, at::ScalarType type,
                                     std::vector<torch::Tensor>* saved) const override;
  std::vector<torch::Tensor> Backward(const std::vector<torch::Tensor>& gradients,
                                      const std::vector<torch::Tensor>& saved) const override;

 private:
  const Kind kind_;
  const int64_t room_;
};

// A gate whose inputs are cut, gate at `most` from above and up at `most` on both sides: (up + 1) * gate * sigmoid(1.702 * gate). Saves
// both inputs.
class ClampedGateEpilogue final : public Epilogue {
 public:
  explicit ClampedGateEpilogue(double most, int64_t room = 0) : most_(most), room_(room) {}
  bool ReadsSharedRows() const override { return true; }
  std::vector<torch::Tensor> Forward(const std::vector<torch::Tensor>& y_NO, at::ScalarType type,
                                     std::vector<torch::Tensor>* saved) const override;
  std::vector<torch::Tensor> Backward(const std::vector<torch::Tensor>& gradients,
                                      const std::vector<torch::Tensor>& saved) const override;

 private:
  const double most_;
  const int64_t room_;
};

// The outputs as they are, float32 whatever the type of the products.
class UnroundedEpilogue final : public Epilogue {
 public:
  std::vector<torch::Tensor> Forward(const std::vector<torch::Tensor>& y_NO, at::ScalarType type,
                                     std::vector<torch::Tensor>* saved) const override;
  std::vector<torch::Tensor> Backward(const std::vector<torch::Tensor>& gradients,
                                      const std::vector<torch::Tensor>& saved) const override;
};

// Columns of a layer's output: of each group g [offset + g * group_stride, + length), one group behind the other.
struct OutputPiece {
  size_t layer = 0;
  int64_t offset = 0;
  int64_t group_stride = 0;
  int64_t groups = 1;
  int64_t length = 0;
};

// Deals the layers' outputs out as pieces, which are the outputs that another epilogue reads. The pieces cover all columns once.
class PieceEpilogue final : public Epilogue {
 public:
  // `widths`: columns of each layer's output.
  PieceEpilogue(std::vector<OutputPiece> pieces, std::vector<int64_t> widths,
                std::shared_ptr<const Epilogue> next)
      : pieces_(std::move(pieces)), widths_(std::move(widths)), next_(std::move(next)) {}
  std::vector<torch::Tensor> Forward(const std::vector<torch::Tensor>& y_NO, at::ScalarType type,
                                     std::vector<torch::Tensor>* saved) const override;
  std::vector<torch::Tensor> Backward(const std::vector<torch::Tensor>& gradients,
                                      const std::vector<torch::Tensor>& saved) const override;

 private:
  const std::vector<OutputPiece> pieces_;
  const std::vector<int64_t> widths_;
  const std::shared_ptr<const Epilogue> next_;
};

// The epilogue over these pieces: itself where they are whole layers in order.
std::shared_ptr<const Epilogue> OverPieces(std::vector<OutputPiece> pieces, std::vector<int64_t> widths,
                                           std::shared_ptr<const Epilogue> next);

}  // namespace ft::ops
