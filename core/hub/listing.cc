#include "core/hub/listing.h"

#include <algorithm>

#include "core/base/excerpt.h"
#include "nlohmann/json.hpp"

namespace ft::hub {
namespace {

using Json = nlohmann::json;

constexpr size_t kLongestPath = 1024;
constexpr int64_t kLargestFile = int64_t{1} << 44;  // 16 TiB.

bool IsHex(std::string_view text, size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Status Wrong(std::string_view what) {
  return absl::InvalidArgumentError(StrCat("the hub's listing is none: ", what));
}

std::string TextOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// A whole number of bytes; nothing when it is another thing.
std::optional<int64_t> SizeOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) return std::nullopt;
  const int64_t size = found->is_number_unsigned() && found->get<uint64_t>() > uint64_t{INT64_MAX}
                           ? -1
                           : found->get<int64_t>();
  if (size < 0 || size > kLargestFile) return std::nullopt;
  return size;
}

Status CheckPath(const std::string& path) {
  return IsCleanPath(path) ? absl::OkStatus() : Wrong(StrCat("'", Excerpt(path, 60), "' is no path in it"));
}

Status CheckCount(size_t files) {
  if (files < kMostFiles) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      StrCat("the repository has more than ", kMostFiles, " files: name a folder of it"));
}

StatusOr<HubFile> HuggingFaceFile(const Json& entry) {
  HubFile file{.path = TextOf(entry, "path")};
  RETURN_IF_ERROR(CheckPath(file.path));
  std::optional<int64_t> size = SizeOf(entry, "size");
  file.git_sha1 = TextOf(entry, "oid");
  if (const auto lfs = entry.find("lfs"); lfs != entry.end() && lfs->is_object()) {
    file.sha256 = TextOf(*lfs, "oid");
    size = SizeOf(*lfs, "size");
    if (!IsHex(file.sha256, 64)) return Wrong(StrCat(Excerpt(file.path, 60), " has no SHA-256"));
  }
  if (!size) return Wrong(StrCat(Excerpt(file.path, 60), " has no size"));
  file.size = *size;
  if (!IsHex(file.git_sha1, 40)) return Wrong(StrCat(Excerpt(file.path, 60), " has no digest"));
  return file;
}

}  // namespace

bool IsCleanPath(std::string_view path) {
  if (path.empty() || path.size() > kLongestPath || path.front() == '/' || path.back() == '/') return false;
  const auto bad = [](unsigned char c) { return c < 0x20 || c == 0x7F || c == '\\'; };
  if (std::any_of(path.begin(), path.end(), bad)) return false;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
    path.remove_prefix(std::min(path.size(), slash + 1));
  }
  return true;
}

StatusOr<std::string> ParseCommit(std::string_view json) {
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return Wrong("no JSON object names the commit");
  std::string commit = TextOf(root, "sha");
  if (!IsHex(commit, 40)) return Wrong("it names no commit");
  return commit;
}

Status ParseHuggingFaceTree(std::string_view json, std::vector<HubFile>* files) {
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_array()) return Wrong("it is no JSON list");
  for (const Json& entry : root) {
    if (!entry.is_object()) return Wrong("an entry is no JSON object");
    if (TextOf(entry, "type") != "file") continue;
    RETURN_IF_ERROR(CheckCount(files->size()));
    ASSIGN_OR_RETURN(HubFile file, HuggingFaceFile(entry));
    files->push_back(std::move(file));
  }
  return absl::OkStatus();
}

std::optional<std::string> NextPage(std::string_view header) {
  while (!header.empty()) {
    const size_t open = header.find('<');
    const size_t close = open == std::string_view::npos ? open : header.find('>', open);
    if (close == std::string_view::npos) return std::nullopt;
    const size_t end = std::min(header.find(",<", close), std::min(header.find(", <", close), header.size()));
    if (header.substr(close, end - close).find("rel=\"next\"") != std::string_view::npos)
      return std::string(header.substr(open + 1, close - open - 1));
    header.remove_prefix(end);
  }
  return std::nullopt;
}

StatusOr<ModelScopePage> ParseModelScopeFiles(std::string_view json) {
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return Wrong("it is no JSON object");
  if (const auto success = root.find("Success");
      success != root.end() && success->is_boolean() && !success->get<bool>()) {
    return absl::NotFoundError(StrCat("the hub says: ", Excerpt(TextOf(root, "Message"), 200)));
  }
  const auto data = root.find("Data");
  if (data == root.end() || !data->is_object()) return Wrong("it has no Data");
  const auto entries = data->find("Files");
  ModelScopePage page;
  if (entries == data->end() || entries->is_null()) return page;
  if (!entries->is_array()) return Wrong("Files is no list");
  page.entries = entries->size();
  for (const Json& entry : *entries) {
    if (!entry.is_object()) return Wrong("an entry is no JSON object");
    RETURN_IF_ERROR(CheckCount(page.files.size() + page.folders.size()));
    HubFile file{.path = TextOf(entry, "Path")};
    RETURN_IF_ERROR(CheckPath(file.path));
    if (TextOf(entry, "Type") == "tree") {
      page.folders.push_back(std::move(file.path));
      continue;
    }
    const std::optional<int64_t> size = SizeOf(entry, "Size");
    file.sha256 = TextOf(entry, "Sha256");
    if (!size) return Wrong(StrCat(Excerpt(file.path, 60), " has no size"));
    if (!IsHex(file.sha256, 64)) return Wrong(StrCat(Excerpt(file.path, 60), " has no SHA-256"));
    file.size = *size;
    page.files.push_back(std::move(file));
  }
  return page;
}

std::string TreeText(const std::vector<HubFile>& files) {
  nlohmann::ordered_json entries = nlohmann::ordered_json::object();
  for (const HubFile& file : files) {
    nlohmann::ordered_json& entry = entries[file.path];
    entry = {{"size", file.size}, {"blob_id", file.git_sha1}};
    if (file.sha256.empty()) continue;
    entry["lfs_sha256"] = file.sha256;
    entry["lfs_size"] = file.size;
  }
  return nlohmann::ordered_json({{"format_version", 1}, {"files", std::move(entries)}})
      .dump(2, ' ', false, Json::error_handler_t::replace);
}

StatusOr<std::vector<HubFile>> ParseTreeText(std::string_view json) {
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  const auto version = root.is_object() ? root.find("format_version") : root.end();
  if (version == root.end() || *version != 1) return Wrong("it is of another version");
  const auto entries = root.find("files");
  if (entries == root.end() || !entries->is_object()) return Wrong("it has no files");
  std::vector<HubFile> files;
  for (const auto& [path, entry] : entries->items()) {
    RETURN_IF_ERROR(CheckPath(path));
    RETURN_IF_ERROR(CheckCount(files.size()));
    HubFile file{.path = path, .sha256 = TextOf(entry, "lfs_sha256"), .git_sha1 = TextOf(entry, "blob_id")};
    const std::optional<int64_t> size = SizeOf(entry, file.sha256.empty() ? "size" : "lfs_size");
    const bool named = file.sha256.empty() ? IsHex(file.git_sha1, 40) : IsHex(file.sha256, 64);
    if (!size || !named) return Wrong(StrCat(Excerpt(path, 60), " has no size or digest"));
    file.size = *size;
    files.push_back(std::move(file));
  }
  return files;
}

}  // namespace ft::hub
