// What lies in a repository at one revision, as the hubs' listings say it: sizes and digests of all files before any of them is
// downloaded. Pure: texts in, values out. Every path is checked, so that it may become a part of a path here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace ft::hub {

struct HubFile {
  std::string path;  // Relative, with '/'.
  int64_t size = 0;
  std::string sha256;    // Of the content; empty where the hub does not tell it.
  std::string git_sha1;  // Of git's blob; empty where the hub does not tell it. One of both is there.
  bool operator==(const HubFile&) const = default;

  // What the content is held to, and called by in Python's cache.
  const std::string& digest() const { return sha256.empty() ? git_sha1 : sha256; }
};

inline constexpr size_t kMostFiles = 200'000;

// Whether a path of a listing is one below the repository: no `..`, no empty part, no control character.
bool IsCleanPath(std::string_view path);

// `sha` of GET /api/models/{repo}/revision/{revision}. INVALID_ARGUMENT when it is no commit.
StatusOr<std::string> ParseCommit(std::string_view json);

// Appends the files of a page of GET /api/models/{repo}/tree/{commit}. INVALID_ARGUMENT says what is wrong; RESOURCE_EXHAUSTED
// for more than kMostFiles.
Status ParseHuggingFaceTree(std::string_view json, std::vector<HubFile>* files);
// The address of the next page in a `Link` header; nothing when this was the last.
std::optional<std::string> NextPage(std::string_view link_header);

// A page of ModelScope's repo/files or repo/tree.
struct ModelScopePage {
  std::vector<HubFile> files;
  std::vector<std::string> folders;
  size_t entries = 0;
};
StatusOr<ModelScopePage> ParseModelScopeFiles(std::string_view json);

// Python's trees/{commit}.json.
std::string TreeText(const std::vector<HubFile>& files);
StatusOr<std::vector<HubFile>> ParseTreeText(std::string_view json);

}  // namespace ft::hub
