// The invariants of the control plane, each as a function from evidence to the violations it finds.
//
//   I1   every job whose CreateJob answered OK is stored; a request id has one job
//   I2   epochs only grow; with strict_exclusive, processes of two epochs never overlap in time
//   I3   a rank starts only as part of a recorded attempt; no device is in two attempts at once
//   I4   a job's states are a path in the legal graph; what a client saw as ended stays
//   I5   a checkpoint is committed once, by the epoch that was current; the newest one's files are there
//   I6   an attempt starts from the newest committed checkpoint; steps that ran twice gave the same bits
//   I7   records of a rank are kept once each, without gaps
//   I8   kept logs are the beginning of what the rank printed
//   I9   a watcher is sent every event once, in order, also over cut streams and restarts; a job watch
//        never steps back and ends with the newest state of every job
//   I10  after CancelJob answered OK no attempt starts
//   I11  no rank gives a sign of itself after its attempt's end, or 5 s after its node came back
//   I12  when faults have stopped, a job that could move moves within a bound
//   I13  an attempt that failed was harmed itself: faults of coordinator, store, agent or network alone end
//        none; a gang is given up only when it stalled, or was silent long enough, beside a silent node
//   I14  cores of a node are never given out twice; no job gets a place that one before it could have had
//   I15  a CreateJob that answered a definite failure stored nothing
//
// What the rules need to know from the history is in tests/control/history.h.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "tests/control/check/evidence.h"

namespace ft::check {

// The settings of the coordinator that was watched.
struct Bounds {
  absl::Duration node_loss = absl::Seconds(120);
  absl::Duration stall = absl::Seconds(15);
  absl::Duration progress = absl::Seconds(60);  // I12's.
  std::set<std::string> strict_jobs;            // Filled from the rows by FindViolations.
};

// One sentence each, beginning with the invariant's name.
std::vector<std::string> FindViolations(const Evidence& evidence, Bounds bounds = {});

}  // namespace ft::check
