// A source on a hub as a folder of this machine: the revision becomes a commit, the repository is listed once, what is missing is
// downloaded into the cache, and the caller gets the snapshot. Ends with everything there or an error; what came stays.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/hub/cache.h"
#include "core/hub/download.h"
#include "core/hub/transport.h"
#include "core/hub/wanted.h"

namespace ft::hub {

// How far it is, a few times a second.
struct Progress {
  enum class Phase { kListing, kDownloading, kChecking, kWaitingForOther, kWaitingForHub };
  Phase phase = Phase::kListing;
  std::string file;  // In hand; empty while there is none.
  std::string why;   // Of a wait: a sentence.
  int64_t bytes = 0, total_bytes = 0;
};

struct FetchRequest {
  recipe::HubSource source;
  DataPart part;                 // Of a data set.
  bool without_weights = false;  // Of a model: all but its weights.
  // What an earlier fetch of the same job found; what is there under it is taken without a question to the hub. Empty = ask.
  std::string version;
  Access access;
  std::function<void(const Progress&)> progress;  // On the calling thread; may be empty.
  std::stop_token stop;
  Transport* transport = nullptr;  // Null: libcurl.
  DownloadOptions options;
};

struct Fetched {
  std::filesystem::path folder;  // The snapshot.
  std::filesystem::path cache;   // The folder that holds everything which the snapshot links to.
  std::string version;           // The commit, or ModelScope's revision.
  std::vector<HubFile> files;    // Those that were wanted.
  int64_t bytes = 0;             // Of them.
  int64_t missing_bytes = 0;     // Of those that were not here, whole, before.
};

// Errors name the source:
//   INVALID_ARGUMENT it holds nothing that the job could use; NOT_FOUND, PERMISSION_DENIED, UNAUTHENTICATED as Client;
//   RESOURCE_EXHAUSTED the disk has not the room, before a byte is downloaded, or no more; UNAVAILABLE the hub does not answer;
//   DATA_LOSS wrong digests; FAILED_PRECONDITION offline, and it is not all in the cache.
StatusOr<Fetched> Fetch(const FetchRequest& request);
// The same without downloading a file.
StatusOr<Fetched> PlanFetch(const FetchRequest& request);

// "3 files, 2.1 GiB, of them 1.0 GiB downloaded", for people.
std::string SizeSentence(const Fetched& fetched);
// 2.1 GiB
std::string BytesText(int64_t bytes);

}  // namespace ft::hub
