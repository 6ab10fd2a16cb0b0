// Working memory of one thread for the length of a task: 64-byte aligned pieces of one buffer that grows to
// the largest task and is kept, so that a steady state allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "core/base/check.h"

namespace ft::ops {

class ThreadArena {
 public:
  // The calling thread's arena, empty, with room for `bytes` in pieces that were each rounded up by Piece().
  // Pieces taken before are gone.
  static ThreadArena& Of(size_t bytes) {
    thread_local ThreadArena arena;
    arena.Reserve(bytes);
    arena.used_ = 0;
    return arena;
  }
  // Bytes that `count` values take.
  template <typename T>
  static size_t Piece(int64_t count) {
    return (static_cast<size_t>(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  }
  // Not initialised.
  template <typename T>
  T* Take(int64_t count) {
    std::byte* piece = bytes_.get() + used_;
    used_ += Piece<T>(count);
    FT_CHECK(used_ <= size_) << used_ << " of " << size_ << " bytes";
    return reinterpret_cast<T*>(piece);
  }

 private:
  static constexpr size_t kAlignment = 64;
  struct Free {
    void operator()(std::byte* bytes) const { ::operator delete[](bytes, std::align_val_t(kAlignment)); }
  };

  void Reserve(size_t bytes) {
    if (bytes <= size_) return;
    bytes_.reset(static_cast<std::byte*>(::operator new[](bytes, std::align_val_t(kAlignment))));
    size_ = bytes;
  }

  std::unique_ptr<std::byte, Free> bytes_;
  size_t size_ = 0;
  size_t used_ = 0;
};

}  // namespace ft::ops
