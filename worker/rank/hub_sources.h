// Sources on hubs become files of this node before anything reads them: downloaded where they are missing, held to the versions
// that the job's preparation found, and put in place of the addresses in the attempt's settings.
#pragma once

#include "core/hub/access.h"
#include "worker/rank/attempt.h"
#include "worker/rank/reporter.h"

namespace ft::rank {

// What the agent gave this process, taken out of the environment; without it, what the environment says, and no token.
StatusOr<hub::Access> TakeHubAccess();

// The model, and for a preparation the data. Errors name the key and carry their class: NETWORK what another try may bring,
// CHECKPOINT_IO a full disk, DATA wrong digests, CONFIG what only the job's owner can change.
Status FetchSources(const hub::Access& access, Attempt& attempt, Reporter& reporter);

}  // namespace ft::rank
