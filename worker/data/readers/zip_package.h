// Parts of a zip file, each unpacked into memory under a bound: what an entry claims about its size is never
// believed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

#include "core/base/status.h"

namespace ft::data {

// One thread.
class ZipPackage {
 public:
  static StatusOr<ZipPackage> Open(const std::filesystem::path& path);
  ZipPackage(ZipPackage&&) noexcept;
  ZipPackage& operator=(ZipPackage&&) noexcept;
  ~ZipPackage();
  bool Has(const std::string& name) const;
  // NOT_FOUND when there is no such part, INVALID_ARGUMENT when it is broken, protected by a password or
  // unpacks to more than max_bytes. Errors name the file and the part.
  StatusOr<std::string> Read(const std::string& name, size_t max_bytes) const;

 private:
  struct Archive;
  explicit ZipPackage(std::unique_ptr<Archive> archive);
  std::unique_ptr<Archive> archive_;
};

}  // namespace ft::data
