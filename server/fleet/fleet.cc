#include "server/fleet/fleet.h"

#include <openssl/rand.h>
#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>

#include "core/base/sha256.h"
#include "core/rpc/errors.h"

namespace ft::fleet {
namespace {

std::string RandomId() {
  unsigned char bytes[32];
  RAND_bytes(bytes, sizeof(bytes));
  return Hex(Sha256Of(std::string_view(reinterpret_cast<char*>(bytes), sizeof(bytes)))).substr(0, 32);
}

Status SessionUnknown() {
  return rpc::WithReason(absl::FailedPreconditionError("this session is not known: register again"),
                         pb::SESSION_UNKNOWN);
}

}  // namespace

Fleet::Fleet(state::StateLoop& loop, const Clock& clock, VerdictRules rules)
    : loop_(loop),
      clock_(clock),
      rules_(rules),
      term_(loop.published()->term),
      timer_(loop.context()),
      liveness_(rules) {
  const absl::Duration grace_end = clock_.BootTime() + rules_.lease;
  loop.published()->nodes.ForEach([&](const state::NodePtr& node) {
    if (!node->left()) unreachable_nodes_[node->node_id()] = grace_end;
  });
}

void Fleet::Start() {
  boost::asio::post(loop_.context(), [this] { Tick(); });
}

void Fleet::Stop() {
  std::vector<std::shared_ptr<CommandSink>> sinks;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    for (auto& [node, session] : sessions_) {
      if (session.sink) sinks.push_back(std::move(session.sink));
    }
  }
  for (const auto& sink : sinks) sink->Close();
}

std::vector<std::string> Fleet::FindLostLocked(absl::Duration now) {
  std::vector<std::string> lost;
  for (auto& [node_id, session] : sessions_) {
    if (session.suspect || now < session.deadline) continue;
    session.suspect = true;
    ++counts_.expirations;
    lost.push_back(node_id);
  }
  for (auto it = unreachable_nodes_.begin(); it != unreachable_nodes_.end();) {
    if (now < it->second) {
      ++it;
      continue;
    }
    lost.push_back(it->first);
    it = unreachable_nodes_.erase(it);
  }
  for (const std::string& node_id : lost) silences_.try_emplace(node_id, Silence{now, now});
  return lost;
}

void Fleet::PostLost(const std::vector<std::string>& lost) {
  for (const std::string& node_id : lost) {
    spdlog::warn("node {} is out of contact: its lease ran out", node_id);
    if (loop_.Post(state::NodeContactLost{node_id}, nullptr).ok()) continue;
    std::lock_guard lock(mutex_);
    unreachable_nodes_[node_id] = clock_.BootTime();
  }
}

// What could not be posted is found again at the next look.
void Fleet::JudgeSilent(absl::Duration now) {
  std::map<std::string, absl::Duration> unreachable;
  std::vector<std::string> remind;
  {
    std::lock_guard lock(mutex_);
    for (auto& [node_id, silence] : silences_) {
      unreachable[node_id] = silence.since;
      if (now - silence.reminded < rules_.node_loss) continue;
      silence.reminded = now;
      remind.push_back(node_id);
    }
  }
  for (Finding& finding : liveness_.Look(loop_.working(), unreachable, now)) {
    spdlog::warn("job {} attempt {}: {}", finding.job_id, finding.epoch, finding.message);
    state::Event event;
    if (finding.wait != WaitVerdict::kNone) {
      event = state::GangWaits{finding.job_id, finding.epoch, finding.message,
                               finding.wait == WaitVerdict::kHung};
    } else if (finding.verdict == Verdict::kDead) {
      event = state::AttemptDead{finding.job_id, finding.epoch, finding.nodes, finding.message};
    } else {
      event = state::AttemptAlive{finding.job_id, finding.epoch, finding.message};
    }
    if (!loop_.Post(std::move(event), nullptr).ok()) spdlog::warn("the inbox is full: it is judged again");
  }
  for (const std::string& node_id : remind) {
    if (!loop_.Post(state::NodeUnreachable{node_id}, nullptr).ok())
      spdlog::warn("node {} stays out of contact", node_id);
  }
}

void Fleet::Tick() {
  const absl::Duration now = clock_.BootTime();
  std::vector<std::string> lost;
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    lost = FindLostLocked(now);
  }
  PostLost(lost);
  JudgeSilent(now);
  timer_.expires_after(std::chrono::milliseconds(absl::ToInt64Milliseconds(rules_.lease / 10) + 1));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) Tick();
  });
}

void Fleet::Register(const wpb::RegisterWorkerRequest& request, Registered done) {
  bool taken = false;
  {
    std::lock_guard lock(mutex_);
    const auto it = sessions_.find(request.node_id());
    taken = it != sessions_.end() && it->second.incarnation != request.incarnation() &&
            clock_.BootTime() < it->second.deadline && it->second.sink != nullptr;
  }
  if (taken) {
    done(rpc::WithReason(
             absl::AlreadyExistsError(StrCat("another worker is connected as node ", request.node_id(),
                                             ": give this one another node_id or stop the other")),
             pb::PERMISSION),
         {});
    return;
  }
  const Status posted = loop_.Post(state::RegisterNode{request},
                                   [this, request, done](const state::Reply& reply, const state::Snapshot&) {
                                     Open(request, reply, done);
                                   });
  if (!posted.ok()) done(posted, {});
}

void Fleet::Open(const wpb::RegisterWorkerRequest& request, const state::Reply& reply,
                 const Registered& done) {
  wpb::RegisterWorkerResponse response;
  if (!reply.status.ok()) {
    done(reply.status, response);
    return;
  }
  Session session;
  session.id = RandomId();
  session.node_id = request.node_id();
  session.incarnation = request.incarnation();
  session.draining = request.draining();
  session.devices.assign(request.devices().begin(), request.devices().end());
  response.set_session_id(session.id);
  response.set_coordinator_term(term_);
  response.set_lease_millis(absl::ToInt64Milliseconds(rules_.lease));
  for (const auto& verdict : reply.verdicts) *response.add_verdicts() = verdict;
  std::shared_ptr<CommandSink> replaced;
  {
    std::lock_guard lock(mutex_);
    session.deadline = clock_.BootTime() + rules_.lease;
    session.contact = clock_.Now();
    unreachable_nodes_.erase(session.node_id);
    silences_.erase(session.node_id);
    Session& slot = sessions_[session.node_id];
    replaced = std::move(slot.sink);
    slot = std::move(session);
  }
  if (replaced) replaced->Close();
  spdlog::info("node {} registered with {} rank(s)", request.node_id(), request.ranks_size());
  done(absl::OkStatus(), response);
}

Fleet::Session* Fleet::FindLocked(const std::string& session_id) {
  for (auto& [node_id, session] : sessions_) {
    if (session.id == session_id) return &session;
  }
  return nullptr;
}

StatusOr<wpb::RenewLeaseResponse> Fleet::Renew(const wpb::RenewLeaseRequest& request) {
  wpb::RenewLeaseResponse response;
  response.set_coordinator_term(term_);
  response.set_lease_millis(absl::ToInt64Milliseconds(rules_.lease));
  std::string node_id, regained;
  {
    std::lock_guard lock(mutex_);
    Session* session = FindLocked(request.session_id());
    if (session == nullptr) return SessionUnknown();
    node_id = session->node_id;
    session->deadline = clock_.BootTime() + rules_.lease;
    session->contact = clock_.Now();
    if (request.devices_size() > 0)
      session->devices.assign(request.devices().begin(), request.devices().end());
    ++counts_.renewals;
    if (session->suspect) regained = session->node_id;
    session->suspect = false;
    silences_.erase(session->node_id);
  }
  NoteStop(node_id, request);
  const state::Snapshot published = loop_.published();
  for (const wpb::RankRef& ref : request.ranks()) {
    if (!state::CheckFence(*published, node_id, ref).ok()) *response.add_revoked() = ref;
  }
  if (request.want_live_caches()) {
    response.set_lists_live_caches(true);
    published->jobs.ForEach([&](const state::JobPtr& job) {
      if (job->prepared_cache().empty() || state::IsTerminal(job->job().state())) return;
      response.add_live_caches(job->prepared_cache().substr(job->prepared_cache().rfind('/') + 1));
    });
  }
  if (!regained.empty()) {
    const Status posted = loop_.Post(state::NodeContactRegained{regained}, nullptr);
    if (!posted.ok()) {
      std::lock_guard lock(mutex_);
      if (Session* session = FindLocked(request.session_id())) session->suspect = true;
    }
  }
  return response;
}

void Fleet::NoteStop(const std::string& node_id, const wpb::RenewLeaseRequest& request) {
  if (request.leaving()) {
    if (loop_.Post(state::NodeLeft{node_id}, nullptr).ok()) Forget(node_id);
    return;
  }
  {
    std::lock_guard lock(mutex_);
    Session* session = FindLocked(request.session_id());
    if (session == nullptr || !request.draining() || session->draining) return;
    session->draining = loop_.Post(state::NodeDraining{node_id}, nullptr).ok();
  }
}

bool Fleet::IsInContact(const std::string& node_id) const {
  std::lock_guard lock(mutex_);
  const auto it = sessions_.find(node_id);
  return it != sessions_.end() && clock_.BootTime() < it->second.deadline;
}

void Fleet::Forget(const std::string& node_id) {
  std::shared_ptr<CommandSink> sink;
  {
    std::lock_guard lock(mutex_);
    const auto it = sessions_.find(node_id);
    if (it != sessions_.end()) {
      sink = std::move(it->second.sink);
      sessions_.erase(it);
    }
    unreachable_nodes_.erase(node_id);
    silences_.erase(node_id);
  }
  if (sink) sink->Close();
}

StatusOr<std::string> Fleet::NodeOf(const std::string& session_id) const {
  std::lock_guard lock(mutex_);
  for (const auto& [node_id, session] : sessions_) {
    if (session.id == session_id) return node_id;
  }
  return SessionUnknown();
}

Status Fleet::OpenStream(const std::string& session_id, std::shared_ptr<CommandSink> sink) {
  std::shared_ptr<CommandSink> replaced;
  {
    std::lock_guard lock(mutex_);
    Session* session = FindLocked(session_id);
    if (session == nullptr || stopped_) return SessionUnknown();
    replaced = std::move(session->sink);
    session->sink = std::move(sink);
    session->outstanding.clear();
    for (auto& [node_id, command] : state::OutstandingCommands(*loop_.published(), session->node_id)) {
      SendLocked(*session, std::move(command));
    }
  }
  if (replaced) replaced->Close();
  return absl::OkStatus();
}

void Fleet::CloseStream(const std::string& session_id, const CommandSink* sink) {
  std::lock_guard lock(mutex_);
  Session* session = FindLocked(session_id);
  if (session != nullptr && session->sink.get() == sink) session->sink.reset();
}

void Fleet::SendLocked(Session& session, wpb::Command command) {
  command.set_command_id((term_ << 32) | next_command_++);
  command.set_coordinator_term(term_);
  session.sink->Send(command);
  session.outstanding[command.command_id()] = std::move(command);
}

void Fleet::Dispatch(const std::vector<state::NodeCommand>& commands) {
  std::lock_guard lock(mutex_);
  for (const state::NodeCommand& item : commands) {
    const auto it = sessions_.find(item.node_id);
    if (it != sessions_.end() && it->second.sink != nullptr) SendLocked(it->second, item.command);
  }
}

void Fleet::OnAck(const wpb::CommandAck& ack) {
  wpb::Command command;
  std::string node_id;
  {
    std::lock_guard lock(mutex_);
    Session* session = FindLocked(ack.session_id());
    if (session == nullptr) return;
    const auto it = session->outstanding.find(ack.command_id());
    if (it == session->outstanding.end()) return;
    command = std::move(it->second);
    session->outstanding.erase(it);
    node_id = session->node_id;
  }
  if (!ack.error().empty()) spdlog::warn("node {}: command {}: {}", node_id, ack.command_id(), ack.error());
  Status posted;
  if (command.has_stop_ranks() && !ack.error().empty()) {
    posted = loop_.Post(
        state::StopFoundNothing{node_id, command.stop_ranks().job_id(), command.stop_ranks().epoch()},
        nullptr);
  } else if (command.has_delete_files() && ack.error().empty()) {
    posted = loop_.Post(state::FilesDeleted{node_id, command.delete_files()}, nullptr);
  }
  // Whatever could not be posted is derived from the state again when the node's next stream opens.
  if (!posted.ok()) spdlog::warn("node {}: {}", node_id, std::string(Message(posted)));
}

std::optional<absl::Time> Fleet::LastContact(const std::string& node_id) const {
  std::lock_guard lock(mutex_);
  const auto it = sessions_.find(node_id);
  return it == sessions_.end() ? std::nullopt : std::optional(it->second.contact);
}

std::vector<pb::Device> Fleet::DevicesOf(const std::string& node_id) const {
  std::lock_guard lock(mutex_);
  const auto it = sessions_.find(node_id);
  return it == sessions_.end() ? std::vector<pb::Device>() : it->second.devices;
}

FleetCounts Fleet::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace ft::fleet
