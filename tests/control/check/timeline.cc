#include "tests/control/check/timeline.h"

#include <algorithm>

namespace ft::check {
namespace {

namespace pb = state::pb;
constexpr char kNodes[] = "nodes/";

// Added to a time of the history to have the wall clock's.
int64_t OffsetOf(const Evidence& evidence) {
  for (const auto& line : evidence.history) {
    if (line.value("kind", "") == "clock")
      return line.value("wall", int64_t{0}) - line.value("t", int64_t{0});
  }
  return 0;
}

void ReadAttemptEvent(const Evidence& evidence, const pb::Event& event, Timeline& out) {
  const std::string job = JobOf(event);
  if (event.type() == "ATTEMPT_STARTED") {
    Life& life = out.lives[job][event.epoch()];
    life.job = job;
    life.epoch = event.epoch();
    life.row = evidence.state.attempts.Find(state::AttemptKey(job, event.epoch()));
    life.started = Nanos(event.time());
    life.started_revision = event.revision();
    return;
  }
  auto& lives = out.lives[job];
  const auto found = lives.find(event.epoch());
  if (event.type() == "ATTEMPT_ENDED" && found != lives.end()) {
    found->second.ended = Nanos(event.time());
    found->second.ended_revision = event.revision();
  }
  if (event.type() == "ATTEMPT_DEAD" && found != lives.end()) found->second.dead = Nanos(event.time());
  if (event.type() == "ATTEMPT_PREEMPTED" && found != lives.end()) found->second.asked_to_end = true;
  const bool asked =
      event.type() == "JOB_DELETED" || event.to_state() == "PAUSING" || event.to_state() == "CANCELLING";
  if (!asked) return;
  for (auto& [epoch, life] : lives) life.asked_to_end |= life.ended == kForever;
}

void ReadNodeEvent(const pb::Event& event, Timeline& out) {
  if (event.to_state() == "LOST") return;  // The silence goes on.
  const std::string node = event.subject().substr(sizeof(kNodes) - 1);
  const int64_t time = Nanos(event.time());
  for (std::vector<Span>* spans : {&out.silent[node], &out.ready[node]}) {
    if (!spans->empty() && spans->back().to == kForever) spans->back().to = time;
  }
  if (event.to_state() == "SUSPECT") out.silent[node].push_back({time});
  if (event.to_state() == "READY") out.ready[node].push_back({time});
}

void ReadHarm(const nlohmann::json& line, int64_t time, Timeline& out) {
  const std::string target = line.value("target", ""), phase = line.value("phase", "once");
  // Whoever is killed or goes on is no longer stopped.
  for (Harm& harm : out.harms) {
    if (harm.target == target && harm.span.to == kForever) harm.span.to = time;
  }
  if (phase != "end") out.harms.push_back({target, "", 0, {time, phase == "begin" ? kForever : time}});
}

void ReadHistory(const Evidence& evidence, Timeline& out) {
  const int64_t offset = OffsetOf(evidence);
  for (const auto& line : evidence.history) {
    const std::string kind = line.value("kind", ""), job = line.value("job", "");
    const int64_t time = line.value("t", int64_t{0}) + offset, epoch = line.value("epoch", int64_t{0});
    if (kind == "rank_start" || kind == "rank_step" || kind == "process")
      out.signs.push_back({job, epoch, line.value("rank", 0), time, kind == "rank_step"});
    if (kind == "rank_end") out.harms.push_back({"self", job, epoch, {time, time}});
    if (kind == "fault") ReadHarm(line, time, out);
    if (kind == "end") {
      out.end = time;  // What follows is the test putting things away.
      return;
    }
  }
}

}  // namespace

int64_t Nanos(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1'000'000'000 + time.nanos();
}

std::string JobOf(const pb::Event& event) { return event.subject().substr(event.subject().rfind('/') + 1); }

bool Succeeded(const state::spb::StoredAttempt& attempt) {
  return attempt.ranks_size() > 0 && attempt.ranks(0).result().state() == state::wpb::ResultRecord::SUCCEEDED;
}

const Life* Timeline::Find(const std::string& job, int64_t epoch) const {
  const auto of_job = lives.find(job);
  if (of_job == lives.end()) return nullptr;
  const auto life = of_job->second.find(epoch);
  return life == of_job->second.end() ? nullptr : &life->second;
}

bool Timeline::IsSilent(const std::string& node, int64_t time) const {
  const auto spans = silent.find(node);
  return spans != silent.end() && std::any_of(spans->second.begin(), spans->second.end(),
                                              [&](const Span& span) { return span.Holds(time); });
}

int64_t Timeline::ContactAfter(const std::string& node, int64_t time) const {
  const auto spans = silent.find(node);
  if (spans == silent.end()) return time;
  for (const Span& span : spans->second) {
    if (span.Holds(time)) return span.to;
  }
  return time;
}

Timeline MakeTimeline(const Evidence& evidence) {
  Timeline out;
  for (const pb::Event& event : evidence.events) {
    if (event.subject().starts_with(kNodes)) {
      if (!event.to_state().empty()) ReadNodeEvent(event, out);
      continue;
    }
    if (event.type() == "JOB_STATE") out.jobs[JobOf(event)].push_back(&event);
    ReadAttemptEvent(evidence, event, out);
  }
  ReadHistory(evidence, out);
  return out;
}

}  // namespace ft::check
