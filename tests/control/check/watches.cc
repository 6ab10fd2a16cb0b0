// I9: what each watcher was sent, against the log of events. A watcher goes on across cut streams and
// restarts of the coordinator with the tokens it was given, so a gap, a repetition or a step back is the
// server's.
#include <algorithm>
#include <map>
#include <set>

#include "tests/control/check/rules.h"

namespace ft::check {
namespace {

namespace pb = state::pb;
using Log = std::map<int64_t, const pb::Event*>;

struct Watched {
  std::string stream;
  std::vector<const nlohmann::json*> items;
  int64_t until = 0;  // All up to this revision was there when it stopped.
};

int64_t RevisionOf(const nlohmann::json& line) { return line.value("revision", int64_t{0}); }

// Several jobs may change in one revision, and a job watch that goes on in the middle of one begins it anew;
// an event has a revision of its own.
void CheckOrder(const std::string& who, const Watched& watched, Violations& out) {
  const bool is_events = watched.stream == "events";
  int64_t last = 0;
  for (const nlohmann::json* item : watched.items) {
    if (RevisionOf(*item) < last || (is_events && RevisionOf(*item) == last))
      out.push_back(StrCat("I9: ", who, " was sent revision ", RevisionOf(*item), " after ", last));
    last = RevisionOf(*item);
  }
}

void CheckEventItems(const std::string& who, const Watched& watched, const Log& log, Violations& out) {
  std::set<int64_t> sent;
  for (const nlohmann::json* item : watched.items) {
    const auto event = log.find(RevisionOf(*item));
    sent.insert(RevisionOf(*item));
    if (event == log.end() || event->second->type() != item->value("type", "") ||
        event->second->subject() != item->value("subject", "") ||
        event->second->to_state() != item->value("to_state", "")) {
      out.push_back(StrCat("I9: ", who, " was sent something at revision ", RevisionOf(*item),
                           " that is not in the log"));
    }
  }
  for (const auto& [revision, event] : log) {
    if (revision <= watched.until && !sent.contains(revision))
      out.push_back(StrCat("I9: ", who, " was never sent ", event->type(), " at revision ", revision));
  }
}

// The job's state in the log as of a revision; empty before its first, and when it is deleted.
std::string StateAt(const Log& log, const std::string& job, int64_t revision) {
  std::string state;
  for (const auto& [at, event] : log) {
    if (at > revision || JobOf(*event) != job) continue;
    if (event->type() == "JOB_STATE") state = event->to_state();
    if (event->type() == "JOB_DELETED") state = "";
  }
  return state;
}

// A job watch may leave out what was replaced before it could be sent, but not the newest state.
void CheckJobItems(const std::string& who, const Watched& watched, const Log& log, Violations& out) {
  std::map<std::string, std::pair<std::string, int64_t>> sent;  // job -> state, revision
  for (const auto& [revision, event] : log) {
    if (event->type() == "JOB_CREATED" && revision <= watched.until) sent[JobOf(*event)] = {"", 0};
  }
  for (const nlohmann::json* item : watched.items)
    sent[item->value("job", "")] = {item->value("state", ""), RevisionOf(*item)};
  for (const auto& [job, newest] : sent) {
    const std::string is = StateAt(log, job, std::max(watched.until, newest.second));
    if (watched.until > 0 && is != newest.first)
      out.push_back(
          StrCat("I9: ", who, " believes job ", job, " to be '", newest.first, "', it is '", is, "'"));
  }
}

}  // namespace

void CheckWatches(const Evidence& evidence, Violations& out) {
  Log log;
  for (const pb::Event& event : evidence.events) log[event.revision()] = &event;
  std::map<std::string, Watched> watchers;
  for (const auto& line : evidence.history) {
    const std::string kind = line.value("kind", ""), who = line.value("watcher", "");
    if (kind == "watch") {
      watchers[who].stream = line.value("stream", "");
      watchers[who].items.push_back(&line);
    }
    if (kind == "watch_end") watchers[who].until = RevisionOf(line);
    if (kind == "watch_refused")
      out.push_back(StrCat("I9: ", who, " may not go on: ", line.value("message", "")));
  }
  for (const auto& [who, watched] : watchers) {
    CheckOrder(who, watched, out);
    if (watched.stream == "events") {
      CheckEventItems(who, watched, log, out);
    } else {
      CheckJobItems(who, watched, log, out);
    }
  }
}

}  // namespace ft::check
