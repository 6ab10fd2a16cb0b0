// Memory of a unit that is there only while the unit is used, under tensors that stay.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace ft::params {

// Views share the buffer's storage, so they have memory when it has. Reading one without ends the process, or throws c10::Error.
class UnitBuffer {
 public:
  // Without memory.
  UnitBuffer(int64_t bytes, at::Device device);

  int64_t size() const { return bytes_.numel(); }
  // All of it, uint8.
  const torch::Tensor& bytes() const { return bytes_; }
  // A contiguous tensor that begins `offset` bytes from the first. REQUIRES: offset a multiple of an element's size; it fits.
  torch::Tensor View(int64_t offset, at::ScalarType type, at::IntArrayRef shape) const;

  // Its contents are not defined afterwards. REQUIRES: no memory yet.
  void Allocate();
  void Free();

 private:
  torch::Tensor bytes_;
};

}  // namespace ft::params
