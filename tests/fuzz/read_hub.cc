#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/base/check.h"
#include "core/base/file.h"
#include "core/hub/listing.h"
#include "core/hub/partial.h"
#include "core/hub/pins.h"
#include "core/hub/repository.h"
#include "core/hub/retry.h"
#include "core/hub/wanted.h"
#include "tests/fuzz/readers.h"

namespace ft::fuzz {

namespace fs = std::filesystem;

// The same bytes as every kind of text that a hub answers with. What is accepted stays below the repository.
Status ReadHubListing(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string json, ReadFile(path));
  std::vector<hub::HubFile> files;
  Status status = hub::ParseHuggingFaceTree(json, &files);
  if (const auto page = hub::ParseModelScopeFiles(json); page.ok()) {
    files.insert(files.end(), page->files.begin(), page->files.end());
    status = absl::OkStatus();
  }
  if (const auto tree = hub::ParseTreeText(json); tree.ok()) {
    FT_CHECK(hub::ParseTreeText(hub::TreeText(*tree)).ok()) << "a listing that was kept cannot be read back";
    files.insert(files.end(), tree->begin(), tree->end());
    status = absl::OkStatus();
  }
  if (hub::ParseCommit(json).ok()) status = absl::OkStatus();
  for (const hub::HubFile& file : files) {
    FT_CHECK(hub::IsCleanPath(file.path) && file.size >= 0) << file.path;
    const fs::path inside = (fs::path("/cache") / file.path).lexically_normal();
    FT_CHECK(inside.string().starts_with("/cache/")) << file.path;
    hub::FileAddress({.repository = "a/b"}, file, "main");
  }
  hub::WantedOfModel(files).status().IgnoreError();
  hub::WantedOfData(files, {.subset = "a", .split = "test"}).status().IgnoreError();
  hub::WantedOfData(files, {}).status().IgnoreError();
  return status;
}

// The first line as an address, the second as where it leads, and each as the headers that ask for a wait or name a page.
Status ReadHubHeaders(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const size_t line = std::min(text.find('\n'), text.size());
  const std::string first = text.substr(0, line), second = text.substr(std::min(line + 1, text.size()));
  for (const std::string& header : {first, second}) {
    const auto wait =
        hub::AskedToWait({.headers = {{"ratelimit", header}, {"retry-after", header}}}, absl::UnixEpoch());
    FT_CHECK(!wait || (*wait >= absl::ZeroDuration() && *wait <= hub::kLongestWait));
    hub::NextPage(header);
    recipe::CheckRemoteSource(header, recipe::RepositoryKind::kModel).IgnoreError();
  }
  ASSIGN_OR_RETURN(const hub::Url base, hub::ParseUrl(first));
  ASSIGN_OR_RETURN(const hub::Url next, hub::ResolveLocation(base, second));
  FT_CHECK(next.scheme == "http" || next.scheme == "https");
  FT_CHECK(hub::ParseUrl(next.ToText()).ok()) << next.ToText();
  return absl::OkStatus();
}

// What says which ranges of a file are there: never more than the file has.
Status ReadHubPartial(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  fs::path base = path;
  base.replace_filename("x.finetuned-");
  RETURN_IF_ERROR(WriteFileDurably(base.string() + "partial", std::string(2500, 'x')));
  const hub::HubFile file{.path = "x", .size = 2500, .sha256 = std::string(64, 'a')};
  ASSIGN_OR_RETURN(const auto partial, hub::PartialFile::Open(base, file, 1000));
  FT_CHECK(partial->done() >= 0 && partial->done() <= 2500) << partial->done();
  hub::PartialFile::NotedBytes(base);
  const bool taken = partial->done() > 0;
  while (const auto piece = partial->Claim())
    FT_CHECK(piece->begin >= 0 && piece->begin < piece->end && piece->end <= 2500);
  partial->Discard();
  hub::ReadPins(path.parent_path());
  return taken ? absl::OkStatus() : absl::InvalidArgumentError("nothing is said to be there");
}

}  // namespace ft::fuzz
