// The checker itself: a real history passes, and every way of spoiling it is noticed as what it is.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <functional>

#include "core/base/file.h"
#include "tests/control/check/evidence.h"
#include "tests/control/check/invariants.h"
#include "tests/control/started_cluster.h"

namespace ft::testing {
namespace {

namespace spb = state::spb;
using check::Evidence;
using nlohmann::json;

// Jobs of the history: one that crashes once, one that waits behind it and outlives a coordinator, one that
// waits behind both, and one whose node falls silent until it is given up, and which is cancelled.
class HistoryCheck : public StartedCluster {
 protected:
  HistoryCheck()
      : StartedCluster({.stall = "500ms", .node_loss = "1500ms", .coordinator = "retry_backoff: 50ms\n"}) {}

  void Live() {
    const pb::Job crashes =
        Submit({.name = "crashes",
                .labels = "  fake_steps: \"70\"\n  fake_step_ms: \"25\"\n  fake_crash_at: \"45\"\n"
                          "  fake_crash_epochs: \"2\"\n",
                .every_steps = 10,
                .threads = 4,
                .request_id = "crashes"});
    // It takes the whole node, so that the others wait before it crashes, in this order.
    cluster_.WaitForState(crashes.name(), pb::RUNNING);
    const pb::Job waits = Submit({.name = "waits", .labels = "  fake_steps: \"200\"\n", .threads = 4});
    const pb::Job last = Submit({.name = "last", .labels = "  fake_steps: \"5\"\n", .threads = 4});
    cluster_.WaitForState(waits.name(), pb::QUEUED);
    cluster_.WaitForState(last.name(), pb::QUEUED);
    cluster_.WaitForState(crashes.name(), pb::SUCCEEDED);
    cluster_.KillCoordinator();
    cluster_.StartCoordinator();
    cluster_.WaitForState(waits.name(), pb::SUCCEEDED);
    cluster_.WaitForState(last.name(), pb::SUCCEEDED);
    const pb::Job given_up =
        Submit({.name = "given-up", .labels = "  fake_steps: \"100000\"\n", .every_steps = 10});
    cluster_.WaitFor(given_up.name(), [](const pb::Job& j) { return j.progress().checkpoint_step() > 0; });
    const pid_t agent = cluster_.AgentPid();
    cluster_.Signal(agent, SIGSTOP);
    cluster_.WaitForState(given_up.name(), pb::RECOVERING);
    cluster_.Signal(agent, SIGCONT);
    cluster_.WaitFor(given_up.name(),
                     [](const pb::Job& j) { return j.epoch() == 3 && j.state() == pb::RUNNING; });
    EXPECT_TRUE(cluster_.Cancel(given_up.name()).ok());
    cluster_.WaitForState(given_up.name(), pb::CANCELLED);
    crashes_ = IdOf(crashes);
    waits_ = IdOf(waits);
    last_ = IdOf(last);
    given_up_ = IdOf(given_up);
  }

  std::string crashes_, waits_, last_, given_up_;
};

using Spoil = std::function<void(Evidence&)>;

pb::Event& EventOf(Evidence& evidence, const std::string& job, const std::string& type, int64_t epoch,
                   const std::string& to_state = "") {
  const auto found =
      std::find_if(evidence.events.begin(), evidence.events.end(), [&](const pb::Event& event) {
        return event.subject().ends_with(job) && event.type() == type && event.epoch() == epoch &&
               (to_state.empty() || event.to_state() == to_state);
      });
  EXPECT_NE(found, evidence.events.end()) << job << " " << type << " " << epoch;
  return *found;
}

json& LineOf(Evidence& evidence, const std::string& kind, const std::function<bool(const json&)>& which) {
  const auto found = std::find_if(evidence.history.begin(), evidence.history.end(), [&](const json& line) {
    return line.value("kind", "") == kind && which(line);
  });
  EXPECT_NE(found, evidence.history.end()) << kind;
  return *found;
}

bool Any(const json&) { return true; }

template <typename T>
void Edit(state::CowMap<T>& rows, const std::string& key, const std::function<void(T&)>& edit) {
  auto row = std::make_shared<T>(*rows.Find(key));
  edit(*row);
  rows.Set(key, row);
}

// A line before the end of the history, so that it counts.
void Insert(Evidence& evidence, json line) {
  const auto end = std::find_if(evidence.history.begin(), evidence.history.end(),
                                [](const json& l) { return l.value("kind", "") == "end"; });
  if (!line.contains("t")) line["t"] = (*end)["t"];
  evidence.history.insert(end, std::move(line));
}

void DropEvents(Evidence& evidence, const std::function<bool(const pb::Event&)>& which) {
  std::erase_if(evidence.events, which);
}

struct Case {
  std::string invariant, name;
  Spoil spoil;
};

std::vector<Case> SpoiltJobs(const std::string& job, const std::string& cancelled) {
  return {
      {"I1", "a job is gone", [=](Evidence& e) { e.state.jobs.Erase(job); }},
      {"I2", "an epoch comes twice",
       [=](Evidence& e) { EventOf(e, job, "ATTEMPT_STARTED", 3).set_epoch(2); }},
      {"I3", "an attempt that nobody knows",
       [=](Evidence& e) {
         Insert(e, {{"kind", "rank_start"}, {"job", job}, {"epoch", 99}, {"rank", 0}});
       }},
      {"I4", "a step that the graph does not have",
       [=](Evidence& e) { EventOf(e, job, "JOB_STATE", 3, "RUNNING").set_from_state("PAUSED"); }},
      {"I4", "an end that was taken back",
       [=](Evidence& e) {
         Insert(e, {{"kind", "state"}, {"job", job}, {"state", "FAILED"}});
       }},
      {"I5", "a commit of a stale epoch",
       [=](Evidence& e) { EventOf(e, job, "CHECKPOINT_COMMITTED", 3).set_epoch(2); }},
      {"I6", "a start from elsewhere",
       [=](Evidence& e) {
         Edit<spb::StoredAttempt>(e.state.attempts, state::AttemptKey(job, 3),
                                  [](spb::StoredAttempt& row) { row.set_resume_step(5); });
       }},
      {"I7", "an acknowledged record is gone",
       [=](Evidence& e) {
         Edit<spb::StoredAttempt>(e.state.attempts, state::AttemptKey(job, 3), [](spb::StoredAttempt& row) {
           row.mutable_ranks(0)->set_acked_sequence(999);
         });
       }},
      {"I10", "an attempt after the cancel",
       [=](Evidence& e) {
         pb::Event event = EventOf(e, cancelled, "ATTEMPT_STARTED", 3);
         event.set_epoch(4);
         e.events.push_back(event);
       }},
      {"I15", "a definite failure that was stored",
       [](Evidence& e) {
         for (json& line : e.history) {
           if (line.value("request_id", "") == "crashes") line.update({{"ok", false}, {"code", 3}});
         }
       }},
  };
}

std::vector<Case> SpoiltWatches(const std::string& job) {
  const auto of = [](const char* stream) {
    return [stream](const json& line) { return line.value("stream", "") == stream; };
  };
  return {
      {"I9", "an event is left out",
       [=](Evidence& e) { LineOf(e, "watch", of("events"))["kind"] = "nothing"; }},
      {"I9", "an event comes twice",
       [=](Evidence& e) {
         const auto at = std::find_if(e.history.begin(), e.history.end(), [&](const json& line) {
           return line.value("kind", "") == "watch" && of("events")(line);
         });
         const json line = *at;
         e.history.insert(at, line);
       }},
      {"I9", "an event is not the stored one",
       [=](Evidence& e) { LineOf(e, "watch", of("events"))["type"] = "JOB_INVENTED"; }},
      {"I9", "the last state is not sent",
       [=](Evidence& e) {
         LineOf(e, "watch", [&](const json& line) {
           return of("jobs")(line) && line.value("job", "") == job && line.value("state", "") == "SUCCEEDED";
         })["kind"] = "nothing";
       }},
      {"I9", "a token is not accepted",
       [](Evidence& e) {
         Insert(e, {{"kind", "watch_refused"}, {"watcher", "w"}, {"message", "too old"}});
       }},
  };
}

std::vector<Case> SpoiltLives(const std::string& job, const std::string& waits, const std::string& last,
                              const std::string& given_up) {
  return {
      {"I11", "a rank outlives its attempt",
       [=](Evidence& e) {
         Insert(e, {{"kind", "process"}, {"job", job}, {"epoch", 2}, {"rank", 0}});
       }},
      {"I11", "a rank that was given up goes on after its node came back",
       [=](Evidence& e) {
         const int64_t t = LineOf(e, "end", Any).value("t", int64_t{0});
         LineOf(e, "end", Any)["t"] = t + 100'000'000'000;
         Insert(e, {{"kind", "rank_step"}, {"job", given_up}, {"epoch", 2}, {"rank", 0}});
       }},
      {"I12", "a job stands still",
       [=](Evidence& e) {
         DropEvents(e, [&](const pb::Event& event) {
           return event.subject().ends_with(waits) &&
                  (event.to_state() == "SUCCEEDED" || event.type() == "ATTEMPT_ENDED");
         });
         LineOf(e, "end", Any)["t"] = LineOf(e, "end", Any).value("t", int64_t{0}) + 100'000'000'000;
       }},
      {"I13", "a rank ended by no fault of its own",
       [=](Evidence& e) {
         LineOf(e, "rank_end", [&](const json& line) { return line.value("job", "") == job; })["kind"] =
             "nothing";
       }},
      {"I13", "a gang is given up while it steps",
       [=](Evidence& e) {
         Edit<spb::StoredAttempt>(e.state.attempts, state::AttemptKey(given_up, 2),
                                  [](spb::StoredAttempt& row) {
                                    spb::StoredRank& witness = *row.add_ranks();
                                    witness.set_rank(1);
                                    witness.set_node_id("elsewhere");
                                  });
         const json clock = LineOf(e, "clock", Any);
         const pb::Event dead = EventOf(e, given_up, "ATTEMPT_DEAD", 2);
         const int64_t at = dead.time().seconds() * 1'000'000'000 + dead.time().nanos() - 200'000'000;
         Insert(e, {{"kind", "rank_step"},
                    {"job", given_up},
                    {"epoch", 2},
                    {"rank", 1},
                    {"t", at - clock.value("wall", int64_t{0}) + clock.value("t", int64_t{0})}});
       }},
      {"I14", "more cores are given out than there are",
       [=](Evidence& e) {
         Edit<spb::StoredNode>(e.state.nodes, kNode,
                               [](spb::StoredNode& row) { row.mutable_devices(0)->set_cores(2); });
       }},
      {"I14", "a job is passed by one that comes later",
       [=](Evidence& e) {
         Edit<spb::StoredJob>(e.state.jobs, last, [](spb::StoredJob& row) { row.set_priority(1); });
       }},
  };
}

TEST_F(HistoryCheck, EveryWayOfSpoilingAHistoryIsNoticed) {
  Live();
  cluster_.Check();  // As it was, it passes.
  const auto evidence =
      check::Collect(cluster_.dir() / "coordinator", {cluster_.WorkerDir()}, cluster_.history().path());
  ASSERT_TRUE(evidence.ok()) << evidence.status();
  check::Bounds bounds{.node_loss = absl::Milliseconds(1500), .stall = absl::Milliseconds(500)};
  EXPECT_EQ(check::FindViolations(*evidence, bounds), std::vector<std::string>());
  const auto expect = [&](const Case& spoilt) {
    Evidence copy = *evidence;
    spoilt.spoil(copy);
    const std::vector<std::string> found = check::FindViolations(copy, bounds);
    EXPECT_TRUE(
        std::any_of(found.begin(), found.end(),
                    [&](const std::string& line) { return line.starts_with(spoilt.invariant + ":"); }))
        << spoilt.invariant << ", " << spoilt.name << ": " << (found.empty() ? "nothing" : found.front());
  };
  for (const std::vector<Case>& cases : {SpoiltJobs(crashes_, given_up_), SpoiltWatches(waits_),
                                         SpoiltLives(crashes_, waits_, last_, given_up_)}) {
    for (const Case& spoilt : cases) expect(spoilt);
  }
  const std::filesystem::path gaps = cluster_.dir() / "coordinator/jobs" / crashes_ / "e3/rank0/stdout.gaps";
  ASSERT_TRUE(WriteFileDurably(gaps, "0 5\n").ok());
  expect({"I8", "a loss is noted where none is said", [](Evidence&) {}});
  std::filesystem::remove(gaps);
  std::fstream log(std::filesystem::path(cluster_.RunDir(crashes_)) / "attempts/3/rank0/stdout.log");
  log << "other";
  log.close();
  expect({"I8", "a log is not what was printed", [](Evidence&) {}});
  bounds.node_loss = absl::Seconds(60);
  expect({"I13", "a node is given up too early", [](Evidence&) {}});
}

}  // namespace
}  // namespace ft::testing
