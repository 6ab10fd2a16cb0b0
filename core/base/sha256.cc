#include "core/base/sha256.h"

// The interface below EVP: EVP's own state cannot be taken out and put back.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/strings/escaping.h"
#include "core/base/check.h"
#include "core/base/file.h"

namespace ft {
namespace {

constexpr size_t kBlock = 64;
constexpr size_t kSavedHead = 8 * 4 + 8;  // The chaining value and the number of bytes, little-endian.

void PutLittleEndian(uint64_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

uint64_t LittleEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

}  // namespace

struct Sha256::Impl {
  SHA256_CTX context;
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) { FT_CHECK(SHA256_Init(&impl_->context) == 1); }
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::Update(std::span<const std::byte> bytes) {
  FT_CHECK(SHA256_Update(&impl_->context, bytes.data(), bytes.size()) == 1);
}

Digest Sha256::Finish() {
  Digest digest;
  FT_CHECK(SHA256_Final(digest.data(), &impl_->context) == 1);
  return digest;
}

std::string Sha256::Save() const {
  const SHA256_CTX& context = impl_->context;
  std::string saved;
  for (const SHA_LONG word : context.h) PutLittleEndian(word, 4, &saved);
  const uint64_t bits = static_cast<uint64_t>(context.Nh) << 32 | context.Nl;
  PutLittleEndian(bits / 8, 8, &saved);
  saved.append(reinterpret_cast<const char*>(context.data), context.num);
  return saved;
}

StatusOr<Sha256> Sha256::Restore(std::string_view saved) {
  const uint64_t bytes = saved.size() < kSavedHead ? 0 : LittleEndian(saved.substr(8 * 4, 8));
  if (saved.size() < kSavedHead || saved.size() - kSavedHead != bytes % kBlock ||
      bytes >= uint64_t{1} << 60) {
    return absl::InvalidArgumentError("this is no saved state of a SHA-256");
  }
  Sha256 hash;
  SHA256_CTX& context = hash.impl_->context;
  for (size_t i = 0; i < 8; ++i) context.h[i] = static_cast<SHA_LONG>(LittleEndian(saved.substr(4 * i, 4)));
  context.Nl = static_cast<SHA_LONG>(bytes * 8);
  context.Nh = static_cast<SHA_LONG>(bytes * 8 >> 32);
  context.num = static_cast<unsigned>(bytes % kBlock);
  std::memcpy(context.data, saved.data() + kSavedHead, context.num);
  return hash;
}

Digest Sha256Of(std::string_view bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

StatusOr<Digest> Sha256OfFile(const std::filesystem::path& path, const std::stop_token& stop) {
  ASSIGN_OR_RETURN(RandomAccessFile file, RandomAccessFile::Open(path));
  Sha256 hash;
  std::vector<std::byte> buffer(1 << 20);
  for (uint64_t offset = 0; offset < file.size();) {
    const auto chunk = std::span(buffer).first(std::min<uint64_t>(buffer.size(), file.size() - offset));
    if (stop.stop_requested())
      return absl::CancelledError(StrCat("the digest of ", path.string(), " is not wanted any more"));
    RETURN_IF_ERROR(file.ReadAt(offset, chunk));
    hash.Update(chunk);
    offset += chunk.size();
  }
  return hash.Finish();
}

std::string Hex(const Digest& digest) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

}  // namespace ft
