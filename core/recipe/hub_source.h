// Sources that are no path on a machine: upload://SHA256/FILE, which the coordinator puts a path in place of, and repositories of
// model hubs, which the node that runs the job downloads:
//   hf://OWNER/NAME[@REVISION]           Hugging Face; some old repositories have no owner
//   modelscope://OWNER/NAME[@REVISION]   ModelScope
// A revision is a branch, a tag or a commit. Of data, hf://datasets/OWNER/NAME is the same as hf://OWNER/NAME.
#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/recipe/job_spec.h"

namespace ft::recipe {

enum class Hub { kHuggingFace, kModelScope };
enum class RepositoryKind { kModel, kDataset };

struct HubSource {
  Hub hub = Hub::kHuggingFace;
  RepositoryKind kind = RepositoryKind::kModel;
  std::string repository;  // OWNER/NAME, or NAME.
  std::string revision;    // Empty = the hub's default branch.
  bool operator==(const HubSource&) const = default;
};

// Whether a source is written as an address, uploads (upload://) among them.
bool IsRemoteSource(std::string_view source);

// Whether it names one of the hubs above, well or badly.
bool IsHubSource(std::string_view source);

// REQUIRES: IsHubSource(source). INVALID_ARGUMENT names the source and what is wrong with it. What passes is safe as a part of a
// path and of a URL.
StatusOr<HubSource> ParseHubSource(std::string_view source, RepositoryKind kind);

// As it is written in a job file; without `@` where the revision is empty.
std::string ToText(const HubSource& source);

// Whether a model or data of the job lie on a hub.
bool UsesHubs(const JobSpec& spec);

// INVALID_ARGUMENT, naming `key` and never the value: longer than a token is, or with characters that it has not.
Status CheckHubToken(std::string_view key, std::string_view token);

// INVALID_ARGUMENT for a source that nobody can read: on the web, or a badly written hub address, with what to do.
Status CheckRemoteSource(std::string_view source, RepositoryKind kind);

}  // namespace ft::recipe
