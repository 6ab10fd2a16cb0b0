// What an attempt is: `run` of the job.json in its folder. The agent writes it out of the coordinator's StartRanks, the ranks
// read it. Agents and ranks may be of different versions: unknown keys are left alone, and a key that came later has a
// default and is written only where it is not that. docs/formats/control-plane.md lists the keys.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "nlohmann/json_fwd.hpp"

namespace ft::process {

// Where the ranks of an attempt meet.
struct Rendezvous {
  // "file": of one node, in a folder, over files and Unix sockets. "tcp": of several nodes, at a store that rank 0 opens on a
  // free port of `host`; the others are told its address over their control sockets.
  std::string store;
  std::string path;  // The folder, below the attempt's.
  std::string host;  // Rank 0's address.
  bool operator==(const Rendezvous&) const = default;
};

// A checkpoint that the coordinator has committed.
struct CommittedCheckpoint {
  std::string path;             // Below run_dir.
  std::string manifest_sha256;  // Of manifest.json as it was committed; empty = not told.
  bool operator==(const CommittedCheckpoint&) const = default;
};

// A fact is added here and in the table of attempt_facts.cc.
struct AttemptFacts {
  std::string job_id;
  int64_t epoch = 0;
  std::string kind;  // PREPARE | TRAIN
  int world_size = 1;
  std::vector<int> ranks_on_node;  // All of this attempt on the node.
  int threads = 1;                 // Threads of each rank.
  int device_slots = 1;  // Jobs that share the rank's GPU: it may take one of so many parts of its memory.
  int64_t resume_step = 0;
  std::string resume_path;  // Below run_dir; empty = from the start.
  std::filesystem::path prepared_cache;
  std::string prepared_sha256;
  std::filesystem::path run_dir;
  std::filesystem::path cache_dir;
  std::vector<std::filesystem::path> roots = {"/"};  // What models and data may be read from.
  std::optional<Rendezvous> rendezvous;              // Needed for two ranks or more.
  // When the job was created, in seconds since 1970: the date that chat templates are given, whenever the job is prepared.
  // 0 = not told; templates then take the date that they have for that.
  int64_t job_created = 0;
  // All of the job, in the order of their commits: what is taken where resume_path is damaged.
  std::vector<CommittedCheckpoint> committed_checkpoints;
  bool operator==(const AttemptFacts&) const = default;
};

// The checkpoints to go on from: resume_path, then the others from the newest commit on. None where resume_path is empty.
std::vector<CommittedCheckpoint> CheckpointsNewestFirst(const AttemptFacts& facts);

nlohmann::ordered_json ToJson(const AttemptFacts& facts);
// INVALID_ARGUMENT names the key, as in `run.threads`.
StatusOr<AttemptFacts> AttemptFactsFromJson(const nlohmann::json& run);

}  // namespace ft::process
