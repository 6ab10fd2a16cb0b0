// A VFS of SQLite, made the default one: passes everything to the system's, and does to writes and syncs what
// the plan says. A write ahead log's first write after a sync begins a transaction, its sync ends one.
//
// With synced copies, `<file>.synced` is always the file as of its last sync: what a loss of power leaves at
// least.
#pragma once

#include <string>

#include "tests/control/faulty/fault_plan.h"

namespace ft::faulty {

// `plan` outlives every connection. Call once, before any is opened.
void InstallFaultVfs(FaultPlan* plan, bool keep_synced_copies);

}  // namespace ft::faulty
