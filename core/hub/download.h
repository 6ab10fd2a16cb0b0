// Brings one file of a repository: in ranges over several connections, going on where an earlier process stopped, until its digest
// is right. Connections that are cut go on at the next byte; an address that has lapsed is asked for anew; a server that ignores
// ranges is taken as it is, from the beginning. What comes with a wrong digest is thrown away once and brought again, and then is
// an error.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>

#include "core/hub/client.h"
#include "core/hub/listing.h"

namespace ft::hub {

struct DownloadOptions {
  int connections = 4;
  int64_t range_bytes = int64_t{64} << 20;
};

struct DownloadTask {
  HubFile file;
  std::string address;                // Path and query at the hub.
  std::filesystem::path partial;      // As RepositoryCache::Partial.
  std::filesystem::path destination;  // The final name; nothing is there.
};

// How far a fetch is, for whoever shows it; written by downloads, read by another thread.
struct DownloadCounts {
  std::atomic<int64_t> bytes = 0;      // Of the file in hand that are here.
  std::atomic<bool> checking = false;  // Its digest is made.
};

// REQUIRES: the file's lock is held.
//   DATA_LOSS the digest is wrong twice; RESOURCE_EXHAUSTED the disk is full; UNAVAILABLE it does not come, after some tries;
//   CANCELLED asked to stop; else the refusals of Client. What came stays for the next time, but for DATA_LOSS.
Status DownloadFile(Client& client, const DownloadTask& task, const DownloadOptions& options,
                    DownloadCounts& counts, const std::stop_token& stop);

}  // namespace ft::hub
