// The coordinator's one state machine. Apply() is pure: the state, an event and the time give the next state,
// the rows that changed, the commands to agents and the reply. Whoever calls it stores the rows before
// anything else leaves the process.
//
//   PREPARING -> QUEUED -> STARTING -> RUNNING <-> RECOVERING -> SUCCEEDED | FAILED | CANCELLED, and PAUSING
//   -> PAUSED.
//
// An attempt (kind PREPARE or TRAIN) has an epoch from one counter per job. Every event from a worker names
// its epoch and is refused with STALE_EPOCH when it is not the job's newest, or that attempt has ended.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "core/base/status.h"
#include "server/state/cluster_state.h"

namespace ft::state {

// Who asks, and what makes a retry of the same request safe.
struct Caller {
  std::string actor;  // user:NAME, node:ID or coordinator
  std::string method;
  std::string request_id;      // Empty = not idempotent.
  std::string request_sha256;  // Digest of the request, to notice an id used twice.
};

struct CreateJob {
  Caller caller;
  spb::StoredJob row;        // Its job_id, namespace and needs are set.
  spb::StoredConfig config;  // Its job_id is the row's.
};
struct CancelJob {
  Caller caller;
  std::string name;
  std::string reason;
};
struct PauseJob {
  Caller caller;
  std::string name;
};
struct ResumeJob {
  Caller caller;
  std::string name;
};
struct DeleteJob {
  Caller caller;
  std::string name;
};
struct RegisterNode {
  wpb::RegisterWorkerRequest request;
};
struct NodeContactLost {
  std::string node_id;
};
struct NodeContactRegained {
  std::string node_id;
};
// Out of contact for the node loss timeout: the node is LOST, and jobs whose data lies there and nothing else
// are prepared again.
struct NodeUnreachable {
  std::string node_id;
};
// Its worker was asked to stop: the gangs with a rank there checkpoint and move.
struct NodeDraining {
  std::string node_id;
};
// Its worker has delivered everything and ends.
struct NodeLeft {
  std::string node_id;
};
// What users ask of a node. Removing needs a node that is out of contact; `in_contact` is the fleet's word.
struct ChangeNode {
  enum class What { kCordon, kDrain, kUncordon, kRemove };
  Caller caller;
  std::string node_id;
  What what = What::kCordon;
  bool in_contact = false;
};
// Forgets nodes that have been out of contact for a day.
struct ForgetNodes {};
// The fleet's verdict on an attempt with members out of contact (fleet/verdict.h). Dead: the ranks on these
// nodes are given up, and killed when their nodes come back. Alive: its other ranks go on stepping, so all of
// it lives.
struct AttemptDead {
  std::string job_id;
  int64_t epoch = 0;
  std::vector<std::string> nodes;
  std::string message;
};
struct AttemptAlive {
  std::string job_id;
  int64_t epoch = 0;
  std::string message;
};
// Ranks of the attempt, all in contact, wait for each other and none makes progress. Hung: for so long that it has to start
// again.
struct GangWaits {
  std::string job_id;
  int64_t epoch = 0;
  std::string message;
  bool hung = false;
};
struct RankReport {
  std::string node_id;
  wpb::ReportRankRequest report;
};
struct RecordsArrived {
  std::string node_id;
  wpb::RankRef ref;
  std::vector<wpb::RankRecord> records;
};
struct CheckpointWritten {
  std::string node_id;
  wpb::RankRef ref;
  wpb::CheckpointRecord checkpoint;
};
// An agent was told to stop an attempt of which it has no rank: those ranks never started.
struct StopFoundNothing {
  std::string node_id;
  std::string job_id;
  int64_t epoch = 0;
};
struct FilesDeleted {
  std::string node_id;
  wpb::DeleteFiles files;
};
struct SchedulePass {};
struct PruneRequests {};  // Forgets requests older than 24 hours.

using Event =
    std::variant<CreateJob, CancelJob, PauseJob, ResumeJob, DeleteJob, RegisterNode, NodeContactLost,
                 NodeContactRegained, NodeUnreachable, NodeDraining, NodeLeft, ChangeNode, ForgetNodes,
                 AttemptDead, AttemptAlive, GangWaits, RankReport, RecordsArrived, CheckpointWritten,
                 StopFoundNothing, FilesDeleted, SchedulePass, PruneRequests>;

// For an agent; the fleet adds command id and term.
struct NodeCommand {
  std::string node_id;
  wpb::Command command;
};

struct Reply {
  Status status;
  std::string job_id;  // The job the request was about.
  std::vector<wpb::RegisterWorkerResponse::Verdict> verdicts;
  uint64_t acked_sequence = 0;
};

struct Transition {
  ClusterState next;
  Changes changes;
  Reply reply;
  std::vector<NodeCommand> commands;
  bool schedule = false;  // Something changed that may let a job start.
};

Transition Apply(const ClusterState& state, const Event& event, absl::Time now);

// All commands that the node has not yet carried out, from the state alone: what a new command stream begins
// with.
std::vector<NodeCommand> OutstandingCommands(const ClusterState& state, const std::string& node_id);

// Whether the graph of job states has this edge.
bool IsLegal(pb::JobState from, pb::JobState to);

// STALE_EPOCH unless (job, epoch, rank) is a rank of the job's newest attempt, which has not ended, on that
// node.
Status CheckFence(const ClusterState& state, const std::string& node_id, const wpb::RankRef& ref);

// Whether a job waits whose back-off is over, or a device whose exclusion is: time for a scheduling pass.
bool HasEndedWait(const ClusterState& state, absl::Time now);

// Cores of the node taken by training attempts.
int CoresAllocated(const ClusterState& state, const std::string& node_id);

}  // namespace ft::state
