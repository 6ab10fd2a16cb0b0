// Sessions, leases and command streams of workers. Lives in memory only: after a restart workers register
// again.
//
// A lease that runs out makes its node SUSPECT and nothing else; what becomes of its attempts is the
// witness's to say (witness.h). After the coordinator's own start every known node has one whole lease to
// come back before anything is said about it. Renewals touch neither the loop nor the store. Thread-safe.
#pragma once

#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "server/fleet/liveness_monitor.h"
#include "server/state/state_loop.h"

namespace ft::fleet {

namespace pb = finetune::v1;
namespace wpb = finetune::worker::v1;

// The coordinator's end of a command stream. Send never blocks.
class CommandSink {
 public:
  virtual ~CommandSink() = default;
  virtual void Send(const wpb::Command& command) = 0;
  virtual void Close() = 0;
};

struct FleetCounts {
  int64_t renewals = 0;
  int64_t expirations = 0;
};

class Fleet {
 public:
  using Registered = std::function<void(const Status&, const wpb::RegisterWorkerResponse&)>;

  Fleet(state::StateLoop& loop, const Clock& clock, VerdictRules rules);
  // Starts the lease timer on the loop's context. REQUIRES: the loop is started.
  void Start();
  void Stop();

  // ALREADY_EXISTS while another incarnation of the node holds a live lease.
  void Register(const wpb::RegisterWorkerRequest& request, Registered done);
  // Revokes the ranks it names whose epoch is over.
  StatusOr<wpb::RenewLeaseResponse> Renew(const wpb::RenewLeaseRequest& request);
  // The session's node; SESSION_UNKNOWN makes the worker register again.
  StatusOr<std::string> NodeOf(const std::string& session_id) const;

  Status OpenStream(const std::string& session_id, std::shared_ptr<CommandSink> sink);
  void CloseStream(const std::string& session_id, const CommandSink* sink);
  void OnAck(const wpb::CommandAck& ack);
  // Sends what a transition ordered; without a stream it is derived again when one opens.
  void Dispatch(const std::vector<state::NodeCommand>& commands);

  // Whether the node holds a lease now.
  bool IsInContact(const std::string& node_id) const;
  // Ends the session of a node that was removed.
  void Forget(const std::string& node_id);
  // When the node last registered or renewed; nothing when it has not since the start.
  std::optional<absl::Time> LastContact(const std::string& node_id) const;
  // What the last renewal said; the node's row may be older.
  std::vector<pb::Device> DevicesOf(const std::string& node_id) const;
  FleetCounts counts() const;

 private:
  struct Session {
    std::string id;
    std::string node_id;
    std::string incarnation;
    absl::Duration deadline;  // On the boot clock.
    absl::Time contact;
    bool suspect = false;
    bool draining = false;  // As far as the loop was told.
    std::vector<pb::Device> devices;
    std::shared_ptr<CommandSink> sink;
    std::map<int64_t, wpb::Command> outstanding;
  };

  struct Silence {
    absl::Duration since;
    absl::Duration reminded;
  };

  void Tick();
  // What a renewal says about its worker's stop. What could not be posted is said again by the next renewal.
  void NoteStop(const std::string& node_id, const wpb::RenewLeaseRequest& request);
  // Nodes whose lease has run out since the last look. REQUIRES: mutex_ held.
  std::vector<std::string> FindLostLocked(absl::Duration now);
  void PostLost(const std::vector<std::string>& lost);
  void JudgeSilent(absl::Duration now);
  void SendLocked(Session& session, wpb::Command command);
  Session* FindLocked(const std::string& session_id);
  void Open(const wpb::RegisterWorkerRequest& request, const state::Reply& reply, const Registered& done);

  state::StateLoop& loop_;
  const Clock& clock_;
  const VerdictRules rules_;
  const int64_t term_;
  boost::asio::steady_timer timer_;
  LivenessMonitor liveness_;  // The loop's thread.

  mutable std::mutex mutex_;                 // Guards all below.
  std::map<std::string, Session> sessions_;  // by node id
  std::map<std::string, absl::Duration>
      unreachable_nodes_;                    // known, not registered since the start: deadline
  std::map<std::string, Silence> silences_;  // of nodes out of contact
  int64_t next_command_ = 1;
  FleetCounts counts_;
  bool stopped_ = false;
};

}  // namespace ft::fleet
