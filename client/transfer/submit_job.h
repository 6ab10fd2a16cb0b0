// From a job file to a stored job, for submit and run.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "client/job/job_file.h"
#include "client/session/session.h"

namespace ft::client {

struct Submission {
  std::vector<std::string> sets;              // KEY=VALUE
  std::string request_id;                     // Empty: a new one.
  std::map<std::string, std::string> labels;  // Beside those of the file.
  bool validate_only = false;                 // The coordinator checks and resolves it and stores nothing.
};

// Checks the file, makes its paths findable for the coordinator (absolute on this machine, else by upload) and creates
// the job. When the answer is lost the message tells how to repeat safely.
StatusOr<v1::Job> SubmitJob(Session& session, JobText text, const Submission& submission);

// Says what of a resolved recipe is otherwise than it says, once.
void TellRemarks(const Session& session, JobText& text);

// The job file as the coordinator gets it.
StatusOr<std::string> FindablePaths(Session& session, const JobText& text);

}  // namespace ft::client
