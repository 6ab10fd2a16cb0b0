// What happened, line by line: one JSON object each, appended by clients (here) and fake ranks. history_check
// reads it.
//
//   {t, kind: create, request_id, ok, code, job}   a CreateJob and its answer
//   {t, kind: cancel, job, ok}                     a CancelJob and its answer
//   {t, kind: state, job, state, epoch}            a job as a client saw it
//   {t, kind: rank_start | rank_step, job, epoch, rank, pid, step}
// t is nanoseconds on the boot clock, which all processes of a machine share.
#pragma once

#include <filesystem>
#include <string>

#include "nlohmann/json.hpp"

namespace ft::testing {

// Thread-safe, because every line is one append.
class History {
 public:
  explicit History(std::filesystem::path path) : path_(std::move(path)) {}
  void Add(nlohmann::json line) const;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace ft::testing
