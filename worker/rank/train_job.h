// A TRAIN attempt on one rank: load, resume, steps, checkpoints, evaluation, the final adapter.
#pragma once

#include "worker/rank/attempt.h"
#include "worker/rank/control.h"
#include "worker/rank/outcome.h"
#include "worker/rank/reporter.h"

namespace ft::rank {

records::Result RunTrain(const Attempt& attempt, Reporter& reporter, Control& control);

}  // namespace ft::rank
