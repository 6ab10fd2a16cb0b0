// What happened, line by line: one JSON object each, appended by clients (here) and fake ranks. history_check
// reads it.
//
//   {t, kind: clock, wall}                         the wall clock at t, once
//   {t, kind: create, request_id, ok, code, job}   a CreateJob and its answer
//   {t, kind: cancel, job, ok}                     a CancelJob and its answer
//   {t, kind: state, job, state, epoch}            a job as a client saw it
//   {t, kind: fault, target, phase}                what a test did: once, or from begin to end; target is
//                                                  coordinator, store, agent, rank, worker or network
//   {t, kind: watch, watcher, stream: events, revision, type, subject, to_state}   an event that was sent
//   {t, kind: watch, watcher, stream: jobs, revision, job, state}   a job; without a state it is deleted
//   {t, kind: watch_refused, watcher, message}     a token that was given was not accepted
//   {t, kind: watch_end, watcher, revision}        everything up to it was to be there in the end
//   {t, kind: process, job, epoch, rank, pid}      a rank's process, seen at t
//   {t, kind: end}                                 until when anybody looked
//   {t, kind: rank_start | rank_step | rank_end, job, epoch, rank, pid, step}   of fake ranks; rank_end when
//                                                  it is about to die, hang or fail by itself
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
