// A PREPARE attempt: data to token cache, reported to the agent.
#pragma once

#include <functional>

#include "worker/data/prepare/prepare.h"
#include "worker/rank/attempt.h"
#include "worker/rank/failure.h"
#include "worker/rank/reporter.h"

namespace ft::rank {

// What preparing the attempt's data asks for. `progress` is called now and then.
prepare::PrepareRequest PrepareRequestOf(const Attempt& attempt,
                                         std::function<void(int64_t records)> progress);

// Writes the Prepared record; the result says what went wrong, if anything did.
records::Result RunPrepare(const Attempt& attempt, Reporter& reporter);

}  // namespace ft::rank
