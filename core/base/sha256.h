// SHA-256, streaming and whole. Backed by OpenSSL.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace ft {

using Digest = std::array<unsigned char, 32>;

class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();
  void Update(std::span<const std::byte> bytes);
  void Update(std::string_view bytes) { Update(std::as_bytes(std::span(bytes))); }
  // The digest of all bytes so far. REQUIRES: called once, last.
  Digest Finish();
  // Where the digest stands, to go on with it in another process. REQUIRES: Finish() was not called.
  std::string Save() const;
  // INVALID_ARGUMENT for what Save() did not make.
  static StatusOr<Sha256> Restore(std::string_view saved);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

Digest Sha256Of(std::string_view bytes);
// CANCELLED once `stop` is asked for.
StatusOr<Digest> Sha256OfFile(const std::filesystem::path& path, const std::stop_token& stop = {});

// 64 lower-case hexadecimal digits.
std::string Hex(const Digest& digest);

}  // namespace ft
