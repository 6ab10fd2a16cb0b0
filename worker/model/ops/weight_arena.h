// Working memory of a device for the weights of one product: kept, so that a steady state allocates nothing.
//
// Frozen weights share the arena of their device and keep it (On); it goes with the last of them. There is one buffer a stream, grown to the
// largest product: what one product reads is overwritten by the next in the order of their stream. Its bytes are those of LibTorch's
// allocator, so every figure of memory has them. Thread-safe: threads that compute on one device take turns.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace ft::ops {

class WeightArena {
 public:
  // The device's: a new one where nobody keeps one. Null for host memory, where weights are read panel by panel.
  static std::shared_ptr<WeightArena> On(at::Device device);

  // A matrix for one product. Until it goes nobody else has one: it lives until all work that writes or reads the matrix is enqueued on
  // the stream that was current when it was made.
  class Matrix {
   public:
    // Not initialised, contiguous.
    const torch::Tensor& tensor() const { return tensor_; }

   private:
    friend class WeightArena;
    std::unique_lock<std::mutex> turn_;
    torch::Tensor tensor_;
  };
  Matrix Take(int64_t rows, int64_t columns, at::ScalarType type);

 private:
  explicit WeightArena(at::Device device) : device_(device) {}

  const at::Device device_;
  std::mutex mutex_;  // Guards what follows, and the bytes between a matrix's making and its end.
  std::unordered_map<c10::Stream, torch::Tensor> bytes_of_stream_;
};

}  // namespace ft::ops
