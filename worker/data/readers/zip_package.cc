#include "worker/data/readers/zip_package.h"

#include <zip.h>

#include <algorithm>
#include <utility>

#include "core/base/read_limits.h"

namespace ft::data {
namespace {

constexpr zip_int64_t kMaxEntries = 10000;
constexpr size_t kChunkBytes = size_t{256} << 10;

}  // namespace

struct ZipPackage::Archive {
  ~Archive() {
    if (zip != nullptr) zip_discard(zip);
  }
  std::filesystem::path path;
  zip_t* zip = nullptr;
};

ZipPackage::ZipPackage(std::unique_ptr<Archive> archive) : archive_(std::move(archive)) {}
ZipPackage::ZipPackage(ZipPackage&&) noexcept = default;
ZipPackage& ZipPackage::operator=(ZipPackage&&) noexcept = default;
ZipPackage::~ZipPackage() = default;

StatusOr<ZipPackage> ZipPackage::Open(const std::filesystem::path& path) {
  auto archive = std::make_unique<Archive>();
  archive->path = path;
  ASSIGN_OR_RETURN(UniqueFd fd, OpenForReading(path));
  int code = 0;
  archive->zip = zip_fdopen(fd.get(), 0, &code);
  if (archive->zip == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string why = zip_error_strerror(&error);
    zip_error_fini(&error);
    return absl::InvalidArgumentError(
        StrCat(path.string(), " is not a whole zip file (", why, "); save or copy it again"));
  }
  static_cast<void>(fd.Release());  // The archive's from here on.
  if (zip_get_num_entries(archive->zip, 0) > kMaxEntries) {
    return absl::InvalidArgumentError(
        StrCat(path.string(), " holds more than 10,000 parts; save the sheet alone"));
  }
  return ZipPackage(std::move(archive));
}

bool ZipPackage::Has(const std::string& name) const {
  return zip_name_locate(archive_->zip, name.c_str(), 0) >= 0;
}

StatusOr<std::string> ZipPackage::Read(const std::string& name, size_t max_bytes) const {
  const auto error = [&](std::string_view why) {
    return absl::InvalidArgumentError(StrCat(archive_->path.string(), " part ", name, ": ", why));
  };
  const zip_int64_t index = zip_name_locate(archive_->zip, name.c_str(), 0);
  if (index < 0) {
    return absl::NotFoundError(
        StrCat(archive_->path.string(), " has no part ", name, "; save or copy it again"));
  }
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(
      zip_fopen_index(archive_->zip, static_cast<zip_uint64_t>(index), 0), &zip_fclose);
  if (file == nullptr) {
    return error("cannot be unpacked; save the file again without a password");
  }
  std::string content;
  for (;;) {
    const size_t before = content.size();
    const size_t wanted = std::min(kChunkBytes, max_bytes + 1 - before);
    content.resize(before + wanted);
    const zip_int64_t got = zip_fread(file.get(), content.data() + before, wanted);
    if (got < 0) return error("is damaged; save or copy the file again");
    content.resize(before + static_cast<size_t>(got));
    if (got == 0) return content;
    if (content.size() > max_bytes) {
      return error(StrCat("unpacks to more than ", max_bytes >> 20, " MiB; save the sheet as .csv"));
    }
  }
}

}  // namespace ft::data
