// The folders in which what was downloaded lies, laid out as the hubs' Python clients do it, so that either finds what the other
// has brought:
//   Hugging Face  models--OWNER--NAME/ (datasets--...)
//                   refs/REVISION              a file that holds the commit
//                   blobs/DIGEST               contents
//                   snapshots/COMMIT/PATH      links to them
//                   trees/COMMIT.json          the listing
//                 .locks/models--OWNER--NAME/DIGEST.lock, held by flock while a blob is brought
//   ModelScope    models/OWNER--NAME/ (datasets/...)
//                   snapshots/REVISION/PATH    contents
//                   .finetuned/REVISION.json   the listing, and when which file was found to be right
//                 .lock/..., as its client names it
//                 OWNER/NAME with ___ for dots, also below hub/: as older clients kept it; taken where it is right
// What is not finished has a name of its own (partial.h); a final name is given by a rename, after the digest was found right.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/base/file.h"
#include "core/hub/access.h"
#include "core/hub/listing.h"

namespace ft::hub {

class RepositoryCache {
 public:
  RepositoryCache(const Settings& settings, const recipe::HubSource& source);

  const std::filesystem::path& folder() const { return folder_; }  // Of the repository.
  // The files as paths of the repository. `version`: a commit (Hugging Face) or a revision (ModelScope).
  std::filesystem::path Snapshot(const std::string& version) const { return folder_ / "snapshots" / version; }
  // Where the content goes once it is whole.
  std::filesystem::path Destination(const HubFile& file, const std::string& version) const;
  // Names without their endings of what is not whole yet.
  std::filesystem::path Partial(const HubFile& file) const;
  std::filesystem::path LockFile(const HubFile& file) const;
  // Held shared by flock while anything of the repository is brought.
  std::filesystem::path UseLockFile() const;

  // The commit that the revision had when it was last asked for; nothing when that is not known here.
  std::optional<std::string> CommitOf(const std::string& revision) const;
  Status WriteRef(const std::string& revision, const std::string& commit) const;
  // The listing that was kept; nothing when there is none.
  std::optional<std::vector<HubFile>> Listing(const std::string& version) const;
  Status WriteListing(const std::string& version, const std::vector<HubFile>& files) const;

  // Where ModelScope's client up to 1.37 kept the repository, if it did.
  std::optional<std::filesystem::path> OlderFolder() const;

  // Whether the file is there, whole. One of ModelScope's that nobody here has checked is hashed for that.
  StatusOr<bool> Has(const HubFile& file, const std::string& version, const std::stop_token& stop) const;
  // Makes the whole content a file of the snapshot.
  Status Publish(const HubFile& file, const std::string& version) const;

 private:
  std::filesystem::path CheckedPath(const HubFile& file, const std::string& version) const;

  recipe::HubSource source_;
  std::filesystem::path cache_, folder_;
  std::string folder_name_;
};

// Which snapshot files exist below a folder, as paths of the repository, without their digests. For snapshots that came with no
// listing.
std::vector<HubFile> FilesBelow(const std::filesystem::path& snapshot);

// The digest is right: SHA-256, or git's SHA-1 of a blob. DATA_LOSS when it is not. CANCELLED when asked to stop.
Status CheckDigest(const std::filesystem::path& path, const HubFile& file, const std::stop_token& stop);

// A repository that is kept here, for `ftctl cache`.
struct CachedRepository {
  recipe::HubSource source;  // Without a revision.
  std::filesystem::path folder;
  std::vector<std::string> revisions;  // That names stand for.
  int64_t bytes = 0;
  int64_t partial_bytes = 0;  // Of what is not whole yet.
  absl::Time used;            // When a file of it last changed.
};
std::vector<CachedRepository> ListRepositories(const Settings& settings);
// Removes a repository with all its revisions. NOT_FOUND: it is not there; FAILED_PRECONDITION: it is being downloaded.
Status RemoveRepository(const Settings& settings, const recipe::HubSource& source);

}  // namespace ft::hub
