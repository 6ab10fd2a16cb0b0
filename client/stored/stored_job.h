// What the state folder of this user shows of a job while no coordinator runs: the private worker's run
// folder and what the private coordinator keeps beside it. Read only; whatever is damaged or not there leaves
// its field empty.
#pragma once

#include <string>
#include <vector>

#include "client/stored/run_folder.h"
#include "finetune/v1/metrics.pb.h"

namespace ft::client {

// Whether the files may answer a call that failed so: nobody listens, and no other coordinator was asked for.
bool FilesMayAnswer(const Session& session, const Status& why);

// The run that a coordinator would mean by this name, id or resource name: the newest. `why`, and that there
// are no such files, where there is none.
StatusOr<RunFolder> StoredRun(const Session& session, const std::string& name, const Status& why);

// As the coordinator would show it. A job that had not ended has no state here; namespaces are not in the
// files, so all are in the default one. `full` as JobView FULL, but without the job file's own text, which is
// not in the files either.
v1::Job StoredJob(const RunFolder& run, bool full);

// As MetricService::QueryMetrics answers. OUT_OF_RANGE when there are too many.
StatusOr<std::vector<v1::MetricPoint>> StoredSeries(const Session& session, const RunFolder& run);

}  // namespace ft::client
