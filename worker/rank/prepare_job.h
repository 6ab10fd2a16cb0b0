// A PREPARE attempt: data to token cache, reported to the agent.
#pragma once

#include "worker/rank/attempt.h"
#include "worker/rank/failure.h"
#include "worker/rank/reporter.h"

namespace ft::rank {

// Writes the Prepared record; the result says what went wrong, if anything did.
records::Result RunPrepare(const Attempt& attempt, Reporter& reporter);

}  // namespace ft::rank
