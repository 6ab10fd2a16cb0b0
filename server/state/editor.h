// Collects what one transition changes: rows are copied when first touched, events and commands are listed,
// and Finish() numbers the revisions. For Apply()'s own files only. One thread.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
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

google::protobuf::Timestamp ToProto(absl::Time time);
absl::Time FromProto(const google::protobuf::Timestamp& time);

class Editor {
 public:
  Editor(const ClusterState& base, absl::Time now) : next_(base), now_(now) {}

  // The row to change, or null when there is none.
  spb::StoredJob* Job(const std::string& job_id);
  spb::StoredAttempt* Attempt(const std::string& job_id, int64_t epoch);
  spb::StoredNode* Node(const std::string& node_id);
  spb::StoredJob* NewJob(const spb::StoredJob& row);
  spb::StoredAttempt* NewAttempt(const std::string& job_id, int64_t epoch);
  spb::StoredNode* NewNode(const std::string& node_id);
  void AddCheckpoint(const spb::StoredCheckpoint& row);
  void DropCheckpoint(const CheckpointPtr& row) { changes_.deleted_checkpoints.push_back(row); }
  void DropJob(const JobPtr& row) { changes_.deleted_jobs.push_back(row); }
  void DropRequest(const std::string& id) { changes_.deleted_requests.push_back(id); }
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
  std::map<std::string, std::shared_ptr<spb::StoredAttempt>> attempts_;
  std::map<std::string, std::shared_ptr<spb::StoredNode>> nodes_;
  Changes changes_;
  std::vector<NodeCommand> commands_;
  bool schedule_ = false;
};

// The parts of Apply(), by who speaks.
Reply OnCreate(Editor& editor, const CreateJob& event);
Reply OnCancel(Editor& editor, const CancelJob& event);
Reply OnPause(Editor& editor, const PauseJob& event);
Reply OnResume(Editor& editor, const ResumeJob& event);
Reply OnDelete(Editor& editor, const DeleteJob& event);
Reply OnRegister(Editor& editor, const RegisterNode& event);
Reply OnContact(Editor& editor, const std::string& node_id, bool lost);
Reply OnSilent(Editor& editor, const std::string& node_id);
Reply OnAttemptDead(Editor& editor, const AttemptDead& event);
Reply OnAttemptAlive(Editor& editor, const AttemptAlive& event);
Reply OnRankReport(Editor& editor, const RankReport& event);
Reply OnRecords(Editor& editor, const RecordsArrived& event);
Reply OnCheckpoint(Editor& editor, const CheckpointWritten& event);
Reply OnStopFoundNothing(Editor& editor, const StopFoundNothing& event);
Reply OnFilesDeleted(Editor& editor, const FilesDeleted& event);
Reply OnSchedule(Editor& editor);
Reply OnPrune(Editor& editor);

// Moves the job along a legal edge and writes the audit event.
void SetJobState(Editor& editor, spb::StoredJob& job, pb::JobState to, const std::string& message,
                 const std::string& actor = "coordinator");
// Tells every node of the attempt to stop its ranks.
void StopAttempt(Editor& editor, spb::StoredAttempt& attempt, bool with_checkpoint);
// After a rank's end: stops the gang, or ends the attempt when all ranks are gone and decides what the job
// does next.
void AfterRankEnded(Editor& editor, spb::StoredJob& job, spb::StoredAttempt& attempt);

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
