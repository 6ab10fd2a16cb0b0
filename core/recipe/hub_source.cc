#include "core/recipe/hub_source.h"

#include <algorithm>

namespace ft::recipe {
namespace {

constexpr std::string_view kHuggingFace = "hf://";
constexpr std::string_view kModelScope = "modelscope://";
constexpr std::string_view kDatasets = "datasets/";
constexpr size_t kLongestName = 96;
constexpr size_t kLongestRevision = 200;
constexpr size_t kLongestToken = 4096;

bool IsLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// An owner's or a repository's name. Two hyphens would make names of cache folders ambiguous.
bool IsName(std::string_view name) {
  if (name.empty() || name.size() > kLongestName || name.front() == '.' || name.front() == '-') return false;
  if (name.find("..") != std::string_view::npos || name.find("--") != std::string_view::npos) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return IsLetterOrDigit(c) || c == '.' || c == '-' || c == '_'; });
}

bool IsRevision(std::string_view revision) {
  if (revision.empty() || revision.size() > kLongestRevision) return false;
  if (revision.front() == '/' || revision.front() == '.' || revision.back() == '/') return false;
  for (const std::string_view part : {"..", "//", "/."}) {
    if (revision.find(part) != std::string_view::npos) return false;
  }
  return std::all_of(revision.begin(), revision.end(), [](char c) {
    return IsLetterOrDigit(c) || c == '.' || c == '-' || c == '_' || c == '/' || c == '+';
  });
}

Status Malformed(std::string_view source, std::string_view what) {
  return absl::InvalidArgumentError(StrCat("'", source, "' ", what, ": write ",
                                           source.starts_with(kModelScope) ? kModelScope : kHuggingFace,
                                           "OWNER/NAME or OWNER/NAME@REVISION"));
}

}  // namespace

bool IsRemoteSource(std::string_view source) { return source.find("://") != std::string_view::npos; }

bool IsHubSource(std::string_view source) {
  return source.starts_with(kHuggingFace) || source.starts_with(kModelScope);
}

StatusOr<HubSource> ParseHubSource(std::string_view source, RepositoryKind kind) {
  const bool hugging_face = source.starts_with(kHuggingFace);
  HubSource parsed{.hub = hugging_face ? Hub::kHuggingFace : Hub::kModelScope, .kind = kind};
  std::string_view rest = source.substr(hugging_face ? kHuggingFace.size() : kModelScope.size());
  if (rest.starts_with(kDatasets) && std::count(rest.begin(), rest.end(), '/') > 1) {
    if (kind == RepositoryKind::kModel)
      return absl::InvalidArgumentError(StrCat("'", source, "' is a data set and no model: give a model's"));
    rest.remove_prefix(kDatasets.size());
  }
  const size_t at = rest.find('@');
  if (at != std::string_view::npos) {
    parsed.revision = rest.substr(at + 1);
    if (!IsRevision(parsed.revision)) return Malformed(source, "has a revision that is none");
    rest = rest.substr(0, at);
  }
  const size_t slash = rest.find('/');
  const bool has_owner = slash != std::string_view::npos;
  const bool named =
      has_owner ? IsName(rest.substr(0, slash)) && IsName(rest.substr(slash + 1)) : IsName(rest);
  if (!named || (!has_owner && !hugging_face)) return Malformed(source, "names no repository of a hub");
  parsed.repository = rest;
  return parsed;
}

std::string ToText(const HubSource& source) {
  return StrCat(source.hub == Hub::kHuggingFace ? kHuggingFace : kModelScope, source.repository,
                source.revision.empty() ? "" : "@", source.revision);
}

bool UsesHubs(const JobSpec& spec) {
  return IsHubSource(spec.model.source) ||
         std::any_of(spec.data.begin(), spec.data.end(),
                     [](const DataSource& data) { return IsHubSource(data.source); });
}

Status CheckHubToken(std::string_view key, std::string_view token) {
  const bool clean = std::all_of(token.begin(), token.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (clean && token.size() <= kLongestToken) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat(key, ": is no token: a token has printable characters without blanks, at most ", kLongestToken));
}

Status CheckRemoteSource(std::string_view source, RepositoryKind kind) {
  if (IsHubSource(source)) return ParseHubSource(source, kind).status();
  if (!IsRemoteSource(source) || source.starts_with("upload://")) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("'", source,
             "' lies on the web, and sources are files, folders and repositories "
             "of hubs (hf://, modelscope://): download it first and give the file"));
}

}  // namespace ft::recipe
