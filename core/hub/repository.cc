#include "core/hub/repository.h"

#include <algorithm>
#include <deque>

namespace ft::hub {
namespace {

using recipe::Hub;
using recipe::HubSource;
using recipe::RepositoryKind;

constexpr int kMostPages = 2'000;
// ModelScope cuts a listing of a model's files here, without a word.
constexpr size_t kModelScopeCut = 3'000;
constexpr size_t kModelScopePage = 200;
constexpr int kMostFolders = 10'000;

const char* KindWord(const HubSource& source) {
  return source.kind == RepositoryKind::kModel ? "models" : "datasets";
}

Status Named(const Client& client, const Status& status) {
  return WithContext(status, StrCat(recipe::ToText(client.source()), " at ",
                                    client.settings().endpoint(client.source().hub)));
}

StatusOr<std::vector<HubFile>> ListHuggingFace(Client& client, const std::string& commit) {
  std::string address = StrCat("/api/", KindWord(client.source()), "/", client.source().repository, "/tree/",
                               EncodeSegment(commit), "?recursive=true&expand=false");
  std::vector<HubFile> files;
  for (int page = 0; page < kMostPages; ++page) {
    ASSIGN_OR_RETURN(const Client::Text text, client.GetText(address));
    RETURN_IF_ERROR(Named(client, ParseHuggingFaceTree(text.body, &files)));
    const std::optional<std::string> next = NextPage(text.link);
    if (!next) return files;
    const StatusOr<Url> here = ParseUrl(client.settings().huggingface_endpoint);
    RETURN_IF_ERROR(here.status());
    const StatusOr<Url> url = ResolveLocation(*here, *next);
    // Behind a mirror the link may name the hub itself; the path is what counts.
    if (!url.ok())
      return Named(client, absl::InvalidArgumentError("the next page of the listing has no address"));
    address = url->path;
  }
  return Named(client, absl::ResourceExhaustedError("the listing has no end"));
}

StatusOr<ModelScopePage> ModelScopePageOf(Client& client, const std::string& revision,
                                          const std::string& root, bool recursive, int number) {
  const HubSource& source = client.source();
  const bool model = source.kind == RepositoryKind::kModel;
  std::string address =
      StrCat("/api/v1/", KindWord(source), "/", source.repository, model ? "/repo/files" : "/repo/tree",
             "?Revision=", EncodeSegment(revision), "&Recursive=", recursive ? "True" : "False");
  if (!model) StrAppend(&address, "&PageNumber=", number, "&PageSize=", kModelScopePage);
  if (!root.empty()) StrAppend(&address, "&Root=", EncodeSegment(root));
  ASSIGN_OR_RETURN(const Client::Text text, client.GetText(address));
  StatusOr<ModelScopePage> page = ParseModelScopeFiles(text.body);
  if (!page.ok()) return Named(client, page.status());
  return page;
}

Status Add(std::vector<HubFile> more, std::vector<HubFile>* files) {
  if (files->size() + more.size() > kMostFiles) {
    return absl::ResourceExhaustedError(
        StrCat("the repository has more than ", kMostFiles, " files: name a folder of it"));
  }
  std::move(more.begin(), more.end(), std::back_inserter(*files));
  return absl::OkStatus();
}

StatusOr<std::vector<HubFile>> ListModelScopeModel(Client& client, const std::string& revision) {
  ASSIGN_OR_RETURN(ModelScopePage all, ModelScopePageOf(client, revision, "", /*recursive=*/true, 1));
  if (all.entries < kModelScopeCut) return std::move(all.files);
  std::vector<HubFile> files;
  std::deque<std::string> folders = {""};
  for (int asked = 0; !folders.empty(); ++asked) {
    if (asked == kMostFolders)
      return Named(client, absl::ResourceExhaustedError("it has too many folders to list"));
    const std::string folder = std::move(folders.front());
    folders.pop_front();
    ASSIGN_OR_RETURN(ModelScopePage page, ModelScopePageOf(client, revision, folder, /*recursive=*/false, 1));
    if (page.entries >= kModelScopeCut) {
      return Named(client, absl::ResourceExhaustedError(StrCat(
                               "its folder '", folder, "' has ", kModelScopeCut,
                               " entries or more, and the hub lists no more: take it from another hub")));
    }
    RETURN_IF_ERROR(Named(client, Add(std::move(page.files), &files)));
    for (std::string& inner : page.folders) {
      if (inner.size() > folder.size()) folders.push_back(std::move(inner));  // A folder never holds itself.
    }
  }
  return files;
}

StatusOr<std::vector<HubFile>> ListModelScopeData(Client& client, const std::string& revision) {
  std::vector<HubFile> files;
  for (int number = 1; number <= kMostPages; ++number) {
    ASSIGN_OR_RETURN(ModelScopePage page, ModelScopePageOf(client, revision, "", /*recursive=*/true, number));
    RETURN_IF_ERROR(Named(client, Add(std::move(page.files), &files)));
    if (page.entries < kModelScopePage) return files;
  }
  return Named(client, absl::ResourceExhaustedError("the listing has no end"));
}

}  // namespace

std::string RevisionOf(const HubSource& source) {
  if (!source.revision.empty()) return source.revision;
  return source.hub == Hub::kHuggingFace ? "main" : "master";
}

StatusOr<std::string> ResolveRevision(Client& client) {
  const HubSource& source = client.source();
  const std::string revision = RevisionOf(source);
  if (source.hub == Hub::kModelScope) return revision;
  ASSIGN_OR_RETURN(const Client::Text text,
                   client.GetText(StrCat("/api/", KindWord(source), "/", source.repository, "/revision/",
                                         EncodeSegment(revision))));
  StatusOr<std::string> commit = ParseCommit(text.body);
  if (!commit.ok()) return Named(client, commit.status());
  return commit;
}

StatusOr<std::vector<HubFile>> ListFiles(Client& client, const std::string& version) {
  if (client.source().hub == Hub::kHuggingFace) return ListHuggingFace(client, version);
  return client.source().kind == RepositoryKind::kModel ? ListModelScopeModel(client, version)
                                                        : ListModelScopeData(client, version);
}

std::string FileAddress(const HubSource& source, const HubFile& file, const std::string& version) {
  if (source.hub == Hub::kHuggingFace) {
    return StrCat(source.kind == RepositoryKind::kModel ? "/" : "/datasets/", source.repository, "/resolve/",
                  EncodeSegment(version), "/", EncodePath(file.path));
  }
  return StrCat("/api/v1/", KindWord(source), "/", source.repository,
                "/repo?Revision=", EncodeSegment(version), "&FilePath=", EncodeSegment(file.path));
}

}  // namespace ft::hub
