#include "core/base/sha256.h"

#include <openssl/evp.h>

#include <vector>

#include "absl/strings/escaping.h"
#include "core/base/check.h"
#include "core/base/file.h"

namespace ft {

struct Sha256::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
  FT_CHECK(EVP_DigestInit_ex(impl_->context, EVP_sha256(), nullptr) == 1);
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::Update(std::span<const std::byte> bytes) {
  FT_CHECK(EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) == 1);
}

Digest Sha256::Finish() {
  Digest digest;
  unsigned int size = 0;
  FT_CHECK(EVP_DigestFinal_ex(impl_->context, digest.data(), &size) == 1 && size == digest.size());
  return digest;
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
    if (stop.stop_requested()) return absl::CancelledError(StrCat("the digest of ", path.string(), " is not wanted any more"));
    RETURN_IF_ERROR(file.ReadAt(offset, chunk));
    hash.Update(chunk);
    offset += chunk.size();
  }
  return hash.Finish();
}

std::string Hex(const Digest& digest) {
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

}  // namespace ft
