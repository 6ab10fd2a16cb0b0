#include "worker/model/weights/model_digest.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <vector>

#include "core/base/file.h"
#include "core/base/sha256.h"

namespace ft::weights {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPieceBytes = 1 << 20;

bool IsModelFile(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".safetensors" || extension == ".bin" || extension == ".gguf" ||
         path.filename() == "config.json";
}

StatusOr<std::vector<fs::path>> ModelFiles(const fs::path& model) {
  std::error_code error;
  if (!fs::is_directory(model, error)) return std::vector<fs::path>{model};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(model, error)) {
    if (entry.is_regular_file(error) && IsModelFile(entry.path())) files.push_back(entry.path());
  }
  if (error) return ErrnoStatus("list", model, error.value());
  std::sort(files.begin(), files.end());
  return files;
}

StatusOr<std::string> CachedDigest(const fs::path& path, const fs::path& cache_dir,
                                   const ReadProgress& progress) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return ErrnoStatus("stat", path, errno);
  const std::string key = StrCat(fs::absolute(path).string(), "\n", info.st_size, "\n", info.st_mtim.tv_sec,
                                 ".", info.st_mtim.tv_nsec, "\n", info.st_ino);
  const fs::path kept = cache_dir / "digests" / Hex(Sha256Of(key));
  if (StatusOr<std::string> digest = ReadFile(kept, 64); digest.ok() && digest->size() == 64) return *digest;
  ASSIGN_OR_RETURN(const std::string digest, FileDigest(path, progress));
  RETURN_IF_ERROR(MakeDirectories(kept.parent_path()));
  RETURN_IF_ERROR(WriteFileDurably(kept, digest));
  return digest;
}

}  // namespace

StatusOr<std::string> FileDigest(const fs::path& path, const ReadProgress& progress) {
  ASSIGN_OR_RETURN(const RandomAccessFile file, RandomAccessFile::Open(path));
  Sha256 hash;
  std::vector<std::byte> buffer(kPieceBytes);
  for (uint64_t offset = 0; offset < file.size(); offset += buffer.size()) {
    const auto piece = std::span(buffer).first(std::min<uint64_t>(buffer.size(), file.size() - offset));
    RETURN_IF_ERROR(file.ReadAt(offset, piece));
    hash.Update(piece);
    if (progress) progress();
  }
  return Hex(hash.Finish());
}

StatusOr<std::string> ModelDigest(const fs::path& model, const fs::path& cache_dir,
                                  const ReadProgress& progress) {
  ASSIGN_OR_RETURN(const std::vector<fs::path> files, ModelFiles(model));
  if (files.empty()) return absl::NotFoundError(StrCat(model.string(), " holds no weight files"));
  std::string list;
  for (const fs::path& file : files) {
    ASSIGN_OR_RETURN(const std::string digest, CachedDigest(file, cache_dir, progress));
    StrAppend(&list, file.filename().string(), " ", digest, "\n");
  }
  return Hex(Sha256Of(list));
}

}  // namespace ft::weights
