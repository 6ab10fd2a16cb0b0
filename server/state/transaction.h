// Collects what one transition changes: rows are copied when first touched, events and commands are listed,
// and Finish() numbers the revisions. For Apply()'s own files only. One thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "finetune/v1/errors.pb.h"
#include "server/state/apply.h"

namespace ft::state {

struct LogEntry {
  std::string subject;
  std::string type;
  std::string message;
  std::string actor = "coordinator";
  std::string request_id;
  int64_t epoch = 0;
  std::string from;
  std::string to;
};

class Transaction {
 public:
  Transaction(const ClusterState& base, absl::Time now) : next_(base), now_(now) {}

  // The row to change, or null when there is none.
  spb::StoredJob* Job(const std::string& job_id);
  spb::StoredAttempt* Attempt(const std::string& job_id, int64_t epoch);
  spb::StoredNode* Node(const std::string& node_id);
  spb::StoredJob* NewJob(const spb::StoredJob& row);
  spb::StoredAttempt* NewAttempt(const std::string& job_id, int64_t epoch);
  spb::StoredNode* NewNode(const std::string& node_id);
  // The job's large parts, to change; null when there are none.
  spb::StoredConfig* Config(const std::string& job_id);
  void NewConfig(const spb::StoredConfig& row) {
    configs_[row.job_id()] = std::make_shared<spb::StoredConfig>(row);
  }
  // What this transition changes is progress and nothing else, unless it also writes an event.
  void MarkProgress() { progress_ = true; }
  void AddCheckpoint(const spb::StoredCheckpoint& row);
  void DropCheckpoint(const CheckpointPtr& row) { changes_.deleted_checkpoints.push_back(row); }
  void DropJob(const JobPtr& row) { changes_.deleted_jobs.push_back(row); }
  void DropRequest(const std::string& id) { changes_.deleted_requests.push_back(id); }
  // The node's row must not have been edited in this transition.
  void DropNode(const std::string& node_id) { changes_.deleted_nodes.push_back(node_id); }
  void AddRequest(const Caller& caller, const std::string& job_id);
  void Log(const LogEntry& entry);
  void Send(const std::string& node_id, wpb::Command command) {
    commands_.push_back({node_id, std::move(command)});
  }
  void WantSchedule() { schedule_ = true; }

  // The state before this transition; rows edited so far are not in it.
  const ClusterState& base() const { return next_; }
  absl::Time now() const { return now_; }
  Transition Finish(Reply reply);

 private:
  ClusterState next_;
  absl::Time now_;
  std::map<std::string, std::shared_ptr<spb::StoredJob>> jobs_;
  std::map<std::string, std::shared_ptr<spb::StoredConfig>> configs_;
  std::map<std::string, std::shared_ptr<spb::StoredAttempt>> attempts_;
  std::map<std::string, std::shared_ptr<spb::StoredNode>> nodes_;
  Changes changes_;
  std::vector<NodeCommand> commands_;
  bool schedule_ = false;
  bool progress_ = false;
};

// The parts of Apply(), by who speaks.
Reply OnCreate(Transaction& transaction, const CreateJob& event);
Reply OnCancel(Transaction& transaction, const CancelJob& event);
Reply OnPause(Transaction& transaction, const PauseJob& event);
Reply OnResume(Transaction& transaction, const ResumeJob& event);
Reply OnDelete(Transaction& transaction, const DeleteJob& event);
Reply OnRegister(Transaction& transaction, const RegisterNode& event);
Reply OnContact(Transaction& transaction, const std::string& node_id, bool lost);
Reply OnUnreachable(Transaction& transaction, const std::string& node_id);
Reply OnNodeDraining(Transaction& transaction, const std::string& node_id);
Reply OnNodeLeft(Transaction& transaction, const std::string& node_id);
Reply OnChangeNode(Transaction& transaction, const ChangeNode& event);
Reply OnForgetNodes(Transaction& transaction);
Reply OnAttemptDead(Transaction& transaction, const AttemptDead& event);
Reply OnAttemptAlive(Transaction& transaction, const AttemptAlive& event);
Reply OnGangWaits(Transaction& transaction, const GangWaits& event);
Reply OnRankReport(Transaction& transaction, const RankReport& event);
Reply OnRecords(Transaction& transaction, const RecordsArrived& event);
Reply OnCheckpoint(Transaction& transaction, const CheckpointWritten& event);
Reply OnStopFoundNothing(Transaction& transaction, const StopFoundNothing& event);
Reply OnFilesDeleted(Transaction& transaction, const FilesDeleted& event);
Reply OnSchedule(Transaction& transaction);
Reply OnPrune(Transaction& transaction);

// The reply to a request that was carried out before, or nothing when it is new.
std::optional<Reply> Replay(const Transaction& transaction, const Caller& caller);
// A reply that refuses, with its reason for programs.
Reply Refuse(Status status, pb::ErrorReason reason);

// What the node's flags make of its state while it is in contact.
pb::NodeState StateInContact(const spb::StoredNode& node);
// Writes the audit event too.
void SetNodeState(Transaction& transaction, spb::StoredNode& node, pb::NodeState to,
                  const std::string& message);
// Jobs that wait for devices, whose data lies on the node and nowhere else, and which have no checkpoint there,
// are prepared again; `why` completes "its data is on node X, which ...".
void PrepareElsewhere(Transaction& transaction, const std::string& node_id, const std::string& why);
// Stops, with checkpoints, every attempt with a rank on the node; its job goes on elsewhere and is charged nothing.
void MoveAttemptsAway(Transaction& transaction, const std::string& node_id);

// Moves the job along a legal edge and writes the audit event.
void SetJobState(Transaction& transaction, spb::StoredJob& job, pb::JobState to, const std::string& message,
                 const std::string& actor = "coordinator");
// Tells every node of the attempt to stop its ranks.
void StopAttempt(Transaction& transaction, spb::StoredAttempt& attempt, bool with_checkpoint);
// After a rank's end: stops the gang, or ends the attempt when all ranks are gone and decides what the job
// does next.
void AfterRankEnded(Transaction& transaction, spb::StoredJob& job, spb::StoredAttempt& attempt);

wpb::Command StartCommand(const ClusterState& state, const spb::StoredJob& job,
                          const spb::StoredAttempt& attempt, const std::string& node_id);
// Tells a node where rank 0 listens.
wpb::Command RendezvousCommand(const spb::StoredAttempt& attempt);
wpb::Command StopCommand(const spb::StoredAttempt& attempt);
// The nodes of the attempt's ranks, each once; rank 0's first.
std::vector<std::string> NodesOf(const spb::StoredAttempt& attempt);
// No process of the rank is left, as far as is known.
bool IsGone(const spb::StoredRank& rank);

}  // namespace ft::state
