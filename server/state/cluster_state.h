// Everything the coordinator knows that survives it: rows by key, and the revision of the last change. A
// value type; a copy is a snapshot.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "finetune/store/v1/store.pb.h"
#include "finetune/v1/events.pb.h"
#include "server/state/cow_map.h"

namespace ft::state {

namespace pb = finetune::v1;
namespace wpb = finetune::worker::v1;
namespace spb = finetune::store::v1;

using JobPtr = CowMap<spb::StoredJob>::Ptr;
using ConfigPtr = CowMap<spb::StoredConfig>::Ptr;
using AttemptPtr = CowMap<spb::StoredAttempt>::Ptr;
using NodePtr = CowMap<spb::StoredNode>::Ptr;
using CheckpointPtr = CowMap<spb::StoredCheckpoint>::Ptr;
using RequestPtr = CowMap<spb::StoredRequest>::Ptr;

// Settings that decisions depend on. Not stored: the coordinator sets them when it starts.
struct Policy {
  absl::Duration backoff =
      absl::Seconds(1);  // Before an attempt after a failure that waits; doubled in a row.
  absl::Duration max_backoff = absl::Minutes(5);
  std::vector<std::string> roots;  // Folders that ranks may read models and data from; empty = anywhere.
};

struct ClusterState {
  Policy policy;
  std::string store_id;                 // New with each store; resume tokens of another store are refused.
  std::string secret;                   // The store's secret: tokens are keyed with it.
  int64_t term = 0;                     // Grows with each start of a coordinator on this store.
  int64_t revision = 0;                 // Number of the last change.
  CowMap<spb::StoredJob> jobs;          // by job id
  CowMap<spb::StoredJob> waiting;       // those that a scheduling pass must look at
  CowMap<spb::StoredConfig> configs;    // by job id
  CowMap<spb::StoredAttempt> attempts;  // by AttemptKey, those that have ended too
  CowMap<spb::StoredAttempt> active;    // the ones that have not
  CowMap<spb::StoredNode> nodes;        // by node id
  CowMap<spb::StoredCheckpoint> checkpoints;  // by CheckpointKey; committed ones only
  CowMap<spb::StoredRequest> requests;        // by request id
};

// What one transition changes, for the store and for watchers. Rows are as they are afterwards.
struct Changes {
  int64_t revision = 0;  // The state's revision afterwards.
  // Only progress changed, which its ranks tell again after a crash: the rows may be stored later.
  bool only_progress = false;
  std::vector<JobPtr> jobs;
  std::vector<ConfigPtr> configs;
  std::vector<JobPtr> deleted_jobs;  // Their attempts and checkpoints go with them.
  std::vector<AttemptPtr> attempts;
  std::vector<NodePtr> nodes;
  std::vector<CheckpointPtr> checkpoints;
  std::vector<CheckpointPtr> deleted_checkpoints;
  std::vector<RequestPtr> requests;
  std::vector<std::string> deleted_requests;
  std::vector<std::string> deleted_nodes;
  std::vector<pb::Event> events;
  bool empty() const {
    return jobs.empty() && configs.empty() && deleted_jobs.empty() && attempts.empty() && nodes.empty() &&
           checkpoints.empty() && deleted_checkpoints.empty() && requests.empty() &&
           deleted_requests.empty() && deleted_nodes.empty() && events.empty();
  }
};

google::protobuf::Timestamp ToProto(absl::Time time);
absl::Time FromProto(const google::protobuf::Timestamp& time);

// Keys sort by number.
std::string AttemptKey(const std::string& job_id, int64_t epoch);
std::string CheckpointKey(const std::string& job_id, int64_t epoch, int64_t step);

bool IsTerminal(pb::JobState state);
std::string JobName(const std::string& namespace_id, const std::string& job_id);

// Puts the large parts into the job as the API shows it.
void AddConfig(const spb::StoredConfig& config, pb::Job& job);
// The job as the API shows it in full.
pb::Job FullJob(const ClusterState& state, const spb::StoredJob& row);

// By resource name; or by job id or display name (the newest job of that name) in the namespace, empty = default. Null when there
// is none.
JobPtr FindJob(const ClusterState& state, const std::string& name, const std::string& namespace_id = "");

// The job's newest attempt; null before the first.
AttemptPtr CurrentAttempt(const ClusterState& state, const spb::StoredJob& job);

// Puts the changed rows into `state`.
void Install(const Changes& changes, ClusterState& state);

}  // namespace ft::state
