#include "tests/control/check/invariants.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "core/base/file.h"
#include "tests/control/check/rules.h"

namespace ft::check {
namespace {

namespace pb = state::pb;
namespace spb = state::spb;

constexpr int kUnavailable = 14, kDeadlineExceeded = 4, kCancelled = 1, kUnknown = 2;

// The graph of docs/architecture.md, written down a second time on purpose.
const std::map<std::string, std::set<std::string>>& LegalEdges() {
  static const std::map<std::string, std::set<std::string>> edges = {
      {"JOB_STATE_UNSPECIFIED", {"PREPARING"}},
      {"PREPARING", {"QUEUED", "PAUSING", "PAUSED", "CANCELLING", "CANCELLED", "FAILED"}},
      {"QUEUED", {"STARTING", "PREPARING", "PAUSED", "CANCELLED"}},
      {"STARTING", {"RUNNING", "RECOVERING", "QUEUED", "PAUSING", "CANCELLING", "SUCCEEDED", "FAILED"}},
      {"RUNNING", {"RECOVERING", "QUEUED", "PAUSING", "CANCELLING", "SUCCEEDED", "FAILED"}},
      {"RECOVERING",
       {"STARTING", "PREPARING", "PAUSING", "PAUSED", "CANCELLING", "CANCELLED", "FAILED", "SUCCEEDED"}},
      {"PAUSING", {"PAUSED", "CANCELLING", "SUCCEEDED", "FAILED"}},
      {"PAUSED", {"QUEUED", "PREPARING", "CANCELLED"}},
      {"CANCELLING", {"CANCELLED"}},
  };
  return edges;
}

bool IsLegal(const std::string& from, const std::string& to) {
  const auto found = LegalEdges().find(from);
  return found != LegalEdges().end() && found->second.contains(to);
}

bool IsEnd(const std::string& state) {
  return state == "SUCCEEDED" || state == "FAILED" || state == "CANCELLED";
}

bool IsAmbiguous(int code) {
  return code == kUnavailable || code == kDeadlineExceeded || code == kCancelled || code == kUnknown;
}

void CheckCreates(const Evidence& evidence, Violations& out) {
  std::map<std::string, std::set<std::string>> jobs_of_request;
  std::set<std::string> deleted, refused;
  for (const pb::Event& event : evidence.events) {
    if (event.type() == "JOB_DELETED") deleted.insert(JobOf(event));
  }
  for (const auto& line : evidence.history) {
    if (line.value("kind", "") != "create") continue;
    const std::string request = line.value("request_id", ""), job = line.value("job", "");
    if (!line.value("ok", false)) {
      if (!request.empty() && !IsAmbiguous(line.value("code", 0))) refused.insert(request);
      continue;
    }
    if (!request.empty()) jobs_of_request[request].insert(job);
    if (evidence.state.jobs.Find(job) == nullptr && !deleted.contains(job))
      out.push_back(StrCat("I1: job ", job, " was accepted and is not stored"));
  }
  for (const std::string& request : refused) {
    if (!jobs_of_request.contains(request) && evidence.state.requests.Find(request) != nullptr)
      out.push_back(StrCat("I15: request ", request, " was answered with a definite failure and is stored"));
  }
  for (const auto& [request, jobs] : jobs_of_request) {
    if (jobs.size() > 1) out.push_back(StrCat("I1: request ", request, " has ", jobs.size(), " jobs"));
  }
  std::map<std::string, int> created;
  for (const pb::Event& event : evidence.events) {
    if (event.type() == "JOB_CREATED" && !event.request_id().empty()) ++created[event.request_id()];
  }
  for (const auto& [request, count] : created) {
    if (count > 1) out.push_back(StrCat("I1: request ", request, " created ", count, " jobs"));
  }
}

void CheckStates(const Evidence& evidence, Violations& out) {
  std::map<std::string, std::string> current;
  for (const pb::Event& event : evidence.events) {
    if (event.type() != "JOB_STATE") continue;
    std::string& now = current.try_emplace(JobOf(event), "JOB_STATE_UNSPECIFIED").first->second;
    if (event.from_state() != now || !IsLegal(event.from_state(), event.to_state())) {
      out.push_back(StrCat("I4: ", event.subject(), " was ", now, " and went ", event.from_state(), " -> ",
                           event.to_state(), " at revision ", event.revision()));
    }
    now = event.to_state();
  }
  for (const auto& line : evidence.history) {
    const std::string job = line.value("job", ""), seen = line.value("state", "");
    if (line.value("kind", "") != "state" || !IsEnd(seen) || !current.contains(job)) continue;
    if (current[job] != seen)
      out.push_back(StrCat("I4: job ", job, " was seen ", seen, " and is ", current[job]));
  }
}

void CheckEpochs(const Evidence& evidence, Violations& out) {
  std::map<std::string, int64_t> epoch, checkpoint;
  std::set<std::string> cancelled, committed;
  for (const pb::Event& event : evidence.events) {
    const std::string job = JobOf(event);
    if (event.type() == "JOB_STATE" && (event.to_state() == "CANCELLING" || event.to_state() == "CANCELLED"))
      cancelled.insert(job);
    if (event.type() == "ATTEMPT_STARTED") {
      if (event.epoch() <= epoch[job])
        out.push_back(StrCat("I2: ", job, " has epoch ", event.epoch(), " after ", epoch[job]));
      if (cancelled.contains(job))
        out.push_back(StrCat("I10: ", job, " was cancelled and epoch ", event.epoch(), " started"));
      epoch[job] = event.epoch();
      const state::AttemptPtr attempt = evidence.state.attempts.Find(state::AttemptKey(job, event.epoch()));
      if (attempt != nullptr && attempt->kind() == state::wpb::TRAIN &&
          attempt->resume_step() != checkpoint[job])
        out.push_back(StrCat("I6: ", job, " epoch ", event.epoch(), " resumes at ", attempt->resume_step(),
                             ", committed is ", checkpoint[job]));
    }
    if (event.type() != "CHECKPOINT_COMMITTED") continue;
    const int64_t step = std::atoll(event.message().c_str() + std::strlen("step "));
    if (event.epoch() != epoch[job])
      out.push_back(StrCat("I5: ", job, ": epoch ", event.epoch(), " committed step ", step, " during epoch ",
                           epoch[job]));
    if (!committed.insert(StrCat(job, "/", event.epoch(), "/", step)).second)
      out.push_back(StrCat("I5: ", job, ": epoch ", event.epoch(), " committed step ", step, " twice"));
    checkpoint[job] = step;
  }
}

void CheckCheckpointFiles(const Evidence& evidence, Violations& out) {
  evidence.state.jobs.ForEach([&](const state::JobPtr& job) {
    const auto rows = evidence.state.checkpoints.Under(job->job_id());
    if (rows.empty()) return;
    const std::filesystem::path newest =
        std::filesystem::path(job->job().run_dir()) / rows.back()->checkpoint().path() / "manifest.json";
    if (!std::filesystem::exists(newest))
      out.push_back(StrCat("I5: committed and not there: ", newest.string()));
  });
}

// Devices of one node, from when an attempt got them until it ended.
void CheckDevices(const Evidence& evidence, Violations& out) {
  struct Use {
    std::string who;
    int64_t from, to;
  };
  std::map<std::string, std::vector<Use>> uses;
  evidence.state.attempts.ForEach([&](const state::AttemptPtr& attempt) {
    const int64_t from = Nanos(attempt->create_time());
    const int64_t to = attempt->has_end_time() ? Nanos(attempt->end_time()) : kForever;
    for (const spb::StoredRank& rank : attempt->ranks()) {
      for (const std::string& uuid : rank.device_uuids()) {
        uses[StrCat(rank.node_id(), "/", uuid)].push_back(
            {StrCat(attempt->job_id(), " epoch ", attempt->epoch()), from, to});
      }
    }
  });
  for (auto& [device, list] : uses) {
    std::sort(list.begin(), list.end(), [](const Use& a, const Use& b) { return a.from < b.from; });
    for (size_t i = 1; i < list.size(); ++i) {
      if (list[i].from < list[i - 1].to)
        out.push_back(StrCat("I3: device ", device, " belongs to ", list[i - 1].who, " and ", list[i].who));
    }
  }
}

void CheckProcesses(const Evidence& evidence, Violations& out) {
  std::map<std::string, std::map<int64_t, std::pair<int64_t, int64_t>>>
      seen;  // job -> epoch -> first, last sign
  for (const auto& line : evidence.history) {
    const std::string kind = line.value("kind", "");
    if (kind != "rank_start" && kind != "rank_step") continue;
    const std::string job = line.value("job", "");
    const int64_t epoch = line.value("epoch", int64_t{0}), t = line.value("t", int64_t{0});
    const auto attempt = evidence.state.attempts.Find(state::AttemptKey(job, epoch));
    const bool deleted = evidence.state.jobs.Find(job) == nullptr;
    if (!deleted && (attempt == nullptr || line.value("rank", 0) >= attempt->ranks_size()))
      out.push_back(StrCat("I3: job ", job, " epoch ", epoch, " rank ", line.value("rank", 0),
                           " ran and is not recorded"));
    auto [slot, fresh] = seen[job].try_emplace(epoch, t, t);
    slot->second.first = std::min(slot->second.first, t);
    slot->second.second = std::max(slot->second.second, t);
  }
  for (const auto& [job, epochs] : seen) {
    const state::JobPtr row = evidence.state.jobs.Find(job);
    if (row == nullptr || !row->strict_exclusive()) continue;
    int64_t last = 0;
    for (const auto& [epoch, span] : epochs) {
      if (span.first < last)
        out.push_back(StrCat("I2: job ", job, ": a rank of an epoch before ", epoch, " still ran beside it"));
      last = std::max(last, span.second);
    }
  }
}

void CheckKeptRecords(const Evidence& evidence, const spb::StoredAttempt& attempt,
                      std::map<int64_t, uint64_t>& loss_of_step, Violations& out) {
  for (const spb::StoredRank& rank : attempt.ranks()) {
    const std::string who = StrCat(attempt.job_id(), " epoch ", attempt.epoch(), " rank ", rank.rank());
    const auto kept = KeptRecords(evidence, attempt.job_id(), attempt.epoch(), rank.rank());
    if (!kept.ok()) {
      out.push_back(StrCat("I7: ", who, ": ", Message(kept.status())));
      continue;
    }
    uint64_t sequence = 0;
    for (const records::Record& record : *kept) {
      if (record.sequence != ++sequence) {
        out.push_back(StrCat("I7: ", who, ": record ", record.sequence, " where ", sequence, " belongs"));
        break;
      }
      const auto* step = std::get_if<records::Step>(&record.body);
      if (step == nullptr || rank.rank() != 0) continue;
      const auto bits = std::bit_cast<uint64_t>(step->loss);
      if (loss_of_step.try_emplace(step->step, bits).first->second != bits)
        out.push_back(StrCat("I6: ", who, ": step ", step->step, " gave another loss than before"));
    }
    if (rank.acked_sequence() > sequence)
      out.push_back(
          StrCat("I7: ", who, ": ", rank.acked_sequence(), " records are acknowledged, ", sequence, " kept"));
  }
}

// A kept log as the rank printed it, with zeros for what was lost (docs/formats/control-plane.md, `stdout.gaps`). Empty when
// a line that should name a loss does not.
std::optional<std::string> AsPrinted(const std::string& kept, const std::filesystem::path& gaps) {
  const auto text = ReadFile(gaps, 1 << 20);
  std::istringstream lines(text.ok() ? *text : "");
  std::string printed;
  size_t from = 0;
  for (size_t at = 0, lost = 0; lines >> at >> lost;) {
    const std::string line = StrCat("\n[", lost, " bytes are missing here: the node could not keep them]\n");
    if (at > kept.size()) break;  // Noted, and not yet written.
    if (at < from || kept.compare(at, line.size(), line) != 0) return std::nullopt;
    printed += kept.substr(from, at - from) + std::string(lost, '\0');
    from = at + line.size();
  }
  return printed + kept.substr(from);
}

// Whether `kept` is the beginning of a file of which a node has only what lies behind a hole; lost may be what is in the hole.
bool BeginsAs(const std::string& kept, const std::string& printed) {
  const size_t hole = std::min(printed.find_first_not_of('\0'), printed.size());
  return kept.size() <= printed.size() &&
         (kept.size() <= hole ||
          printed.compare(hole, kept.size() - hole, kept, hole, kept.size() - hole) == 0);
}

void CheckKeptLogs(const Evidence& evidence, const spb::StoredAttempt& attempt, Violations& out) {
  for (const spb::StoredRank& rank : attempt.ranks()) {
    const std::filesystem::path file = evidence.coordinator / "jobs" / attempt.job_id() /
                                       StrCat("e", attempt.epoch()) / StrCat("rank", rank.rank()) / "stdout";
    const auto kept = ReadFile(file, uint64_t{1} << 30);
    if (!kept.ok()) continue;  // It printed nothing, or nothing of it has come.
    const auto as_printed = AsPrinted(*kept, file.string() + ".gaps");
    for (const std::filesystem::path& worker : evidence.workers) {
      const auto printed = ReadFile(worker / "runs" / attempt.job_id() / "attempts" /
                                        StrCat(attempt.epoch()) / StrCat("rank", rank.rank()) / "stdout.log",
                                    uint64_t{1} << 30);
      if (printed.ok() && (!as_printed.has_value() || !BeginsAs(*as_printed, *printed)))
        out.push_back(StrCat("I8: ", attempt.job_id(), " epoch ", attempt.epoch(), " rank ", rank.rank(),
                             ": the kept log is not the beginning of what it printed"));
    }
  }
}

}  // namespace

Violations FindViolations(const Evidence& evidence, Bounds bounds) {
  Violations out;
  evidence.state.jobs.ForEach([&](const state::JobPtr& job) {
    if (job->strict_exclusive()) bounds.strict_jobs.insert(job->job_id());
  });
  const Timeline timeline = MakeTimeline(evidence);
  CheckCreates(evidence, out);
  CheckStates(evidence, out);
  CheckEpochs(evidence, out);
  CheckCheckpointFiles(evidence, out);
  CheckDevices(evidence, out);
  CheckProcesses(evidence, out);
  CheckWatches(evidence, out);
  CheckOrphans(timeline, bounds, out);
  CheckLiveness(evidence, timeline, bounds, out);
  CheckHealthyWork(timeline, bounds, out);
  CheckCapacity(evidence, timeline, out);
  CheckPriority(evidence, timeline, out);
  std::map<std::string, std::map<int64_t, uint64_t>> losses;
  evidence.state.attempts.ForEach([&](const state::AttemptPtr& attempt) {
    CheckKeptRecords(evidence, *attempt, losses[attempt->job_id()], out);
    CheckKeptLogs(evidence, *attempt, out);
  });
  return out;
}

}  // namespace ft::check
