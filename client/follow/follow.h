// Following a job to its end, for watch, submit --wait and run.
#pragma once

#include "client/session/session.h"

namespace ft::client {

struct FollowOptions {
  bool pause_on_interrupt =
      false;  // Ctrl-C pauses the job and waits for its checkpoint; a second one leaves at once.
};

struct Followed {
  v1::Job job;               // As it was last seen.
  bool interrupted = false;  // By Ctrl-C; the job may go on.
  bool deleted = false;
  bool stopped = false;    // The private daemons have ended, and nothing brings the job on.
  bool disk_full = false;  // Interrupted while the job waited for room, which no pause can wait for.
};

// Shows the job until it has ended, is paused, is deleted, or Ctrl-C. Breaks in the connection are waited out, unless
// private daemons that ran at the beginning are gone.
StatusOr<Followed> Follow(Session& session, const v1::Job& job, const FollowOptions& options);

// One sentence on how the job stands after following it, and the exit status that goes with it.
int Conclude(const Session& session, const Followed& followed);

}  // namespace ft::client
