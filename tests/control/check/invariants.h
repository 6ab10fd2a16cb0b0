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
//   I10  after CancelJob answered OK no attempt starts
//   I15  a CreateJob that answered a definite failure stored nothing
#pragma once

#include <string>
#include <vector>

#include "tests/control/check/evidence.h"

namespace ft::check {

// One sentence each, beginning with the invariant's name.
std::vector<std::string> FindViolations(const Evidence& evidence);

}  // namespace ft::check
