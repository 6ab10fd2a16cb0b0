// What the ranks of a job printed, out of the state folder, while no coordinator runs.
#pragma once

#include <functional>

#include "client/stored/run_folder.h"
#include "finetune/v1/logs.pb.h"

namespace ft::client {

// The chunks that LogService::StreamLogs would answer, each given to `visit`: what the coordinator keeps of
// each stream, then what the worker had not sent yet. The request's job and follow do not count.
Status VisitStoredLogs(const Session& session, const RunFolder& run, const v1::StreamLogsRequest& request,
                       const std::function<void(const v1::LogChunk&)>& visit);

}  // namespace ft::client
