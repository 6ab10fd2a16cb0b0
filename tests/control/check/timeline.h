// What happened when, read out of the evidence once for the rules that ask about time. All times are
// nanoseconds of the wall clock; the history's boot clock is moved onto it by the history's `clock` line.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/control/check/evidence.h"

namespace ft::check {

inline constexpr int64_t kForever = INT64_MAX;

struct Span {
  int64_t from = 0, to = kForever;
  bool Holds(int64_t time) const { return from <= time && time < to; }
};

// One attempt, from its events and its row.
struct Life {
  std::string job;
  int64_t epoch = 0;
  state::AttemptPtr row;  // Null when the job was deleted.
  int64_t started = 0, started_revision = 0;
  int64_t ended = kForever, ended_revision = kForever;
  int64_t dead = kForever;    // When it was given up for want of signs.
  bool asked_to_end = false;  // The user paused, cancelled or deleted the job during it.
};

// A rank gave a sign of itself: it started, stepped, or was seen as a process.
struct Sign {
  std::string job;
  int64_t epoch = 0;
  int rank = 0;
  int64_t time = 0;
  bool is_step = false;
};

// Somebody did something to a process or a wire, or a rank did it to itself (target "self").
struct Harm {
  std::string target;  // coordinator | store | agent | rank | worker | network | self
  std::string job;     // The job of "self".
  int64_t epoch = 0;
  Span span;  // An instant has no length.
};

struct Timeline {
  std::map<std::string, std::map<int64_t, Life>> lives;              // job -> epoch
  std::map<std::string, std::vector<const state::pb::Event*>> jobs;  // job -> its JOB_STATE events
  std::map<std::string, std::vector<Span>> silent, ready;            // node -> out of contact, in contact
  std::vector<Sign> signs;
  std::vector<Harm> harms;
  int64_t end = 0;  // Until when somebody watched; 0 = the history does not say.

  const Life* Find(const std::string& job, int64_t epoch) const;
  bool IsSilent(const std::string& node, int64_t time) const;
  // The first moment from `time` on at which the node is in contact.
  int64_t ContactAfter(const std::string& node, int64_t time) const;
};

Timeline MakeTimeline(const Evidence& evidence);

int64_t Nanos(const google::protobuf::Timestamp& time);
// The job's id out of an event's subject.
std::string JobOf(const state::pb::Event& event);
bool Succeeded(const state::spb::StoredAttempt& attempt);

}  // namespace ft::check
