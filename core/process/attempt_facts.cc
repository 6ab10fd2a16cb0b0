#include "core/process/attempt_facts.h"

#include <concepts>
#include <string_view>
#include <tuple>
#include <utility>

#include "core/base/str_cat.h"
#include "nlohmann/json.hpp"

namespace ft::process {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

enum class Presence {
  kRequired,
  kOptional,  // Written always; may be missing.
  kLater,     // Came later: written only where it is not the default.
};

template <typename T>
struct Fact {
  const char* key;
  T AttemptFacts::*member;
  Presence presence;
};

template <typename T>
Fact(const char*, T AttemptFacts::*, Presence) -> Fact<T>;

// Every fact, in the order in which they are written.
constexpr auto kFacts =
    std::make_tuple(Fact{"job_id", &AttemptFacts::job_id, Presence::kRequired},
                    Fact{"epoch", &AttemptFacts::epoch, Presence::kRequired},
                    Fact{"kind", &AttemptFacts::kind, Presence::kRequired},
                    Fact{"world_size", &AttemptFacts::world_size, Presence::kRequired},
                    Fact{"ranks_on_node", &AttemptFacts::ranks_on_node, Presence::kOptional},
                    Fact{"threads", &AttemptFacts::threads, Presence::kRequired},
                    Fact{"resume_step", &AttemptFacts::resume_step, Presence::kOptional},
                    Fact{"resume_path", &AttemptFacts::resume_path, Presence::kOptional},
                    Fact{"prepared_cache", &AttemptFacts::prepared_cache, Presence::kOptional},
                    Fact{"prepared_sha256", &AttemptFacts::prepared_sha256, Presence::kOptional},
                    Fact{"run_dir", &AttemptFacts::run_dir, Presence::kRequired},
                    Fact{"cache_dir", &AttemptFacts::cache_dir, Presence::kRequired},
                    Fact{"roots", &AttemptFacts::roots, Presence::kLater},
                    Fact{"rendezvous", &AttemptFacts::rendezvous, Presence::kLater},
                    Fact{"job_created", &AttemptFacts::job_created, Presence::kLater},
                    Fact{"device_slots", &AttemptFacts::device_slots, Presence::kLater},
                    Fact{"committed_checkpoints", &AttemptFacts::committed_checkpoints, Presence::kLater});

template <typename Visit>
void ForEachFact(const Visit& visit) {
  std::apply([&](const auto&... fact) { (visit(fact), ...); }, kFacts);
}

// Values as JSON.

template <std::integral T>
OrderedJson Written(T number) {
  return number;
}
OrderedJson Written(const std::string& text) { return text; }
OrderedJson Written(const std::filesystem::path& path) { return path.string(); }
OrderedJson Written(const CommittedCheckpoint& checkpoint) {
  return {{"path", checkpoint.path}, {"manifest_sha256", checkpoint.manifest_sha256}};
}
template <typename T>
OrderedJson Written(const std::vector<T>& items) {
  OrderedJson list = OrderedJson::array();
  for (const T& item : items) list.push_back(Written(item));
  return list;
}
OrderedJson Written(const std::optional<Rendezvous>& rendezvous) {
  OrderedJson object = {{"store", rendezvous->store}};
  if (!rendezvous->path.empty()) object["path"] = rendezvous->path;
  if (!rendezvous->host.empty()) object["host"] = rendezvous->host;
  return object;
}

// JSON as values: the key, below `key`, whose value is of the wrong kind, or nothing.
using Wrong = std::optional<std::string>;

template <std::integral T>
Wrong Read(const Json& json, const std::string& key, T& number) {
  const bool fits = json.is_number_unsigned()  ? std::in_range<T>(json.get<uint64_t>())
                    : json.is_number_integer() ? std::in_range<T>(json.get<int64_t>())
                                               : false;
  if (!fits) return key;
  number = json.get<T>();
  return std::nullopt;
}
Wrong Read(const Json& json, const std::string& key, std::string& text) {
  if (!json.is_string()) return key;
  text = json.get<std::string>();
  return std::nullopt;
}
Wrong Read(const Json& json, const std::string& key, std::filesystem::path& path) {
  std::string text;
  const Wrong wrong = Read(json, key, text);
  if (!wrong) path = text;
  return wrong;
}
Wrong Read(const Json& json, const std::string& key, CommittedCheckpoint& checkpoint) {
  const auto path = json.find("path"), sha256 = json.find("manifest_sha256");  // end() of what is no object.
  if (path == json.end() || !path->is_string() || sha256 == json.end() || !sha256->is_string()) return key;
  checkpoint = {path->get<std::string>(), sha256->get<std::string>()};
  return std::nullopt;
}
template <typename T>
Wrong Read(const Json& json, const std::string& key, std::vector<T>& items) {
  if (!json.is_array()) return key;
  items.clear();
  for (const Json& item : json) {
    if (Wrong wrong = Read(item, key, items.emplace_back())) return wrong;
  }
  return std::nullopt;
}
Wrong Read(const Json& json, const std::string& key, std::optional<Rendezvous>& rendezvous) {
  if (!json.is_object()) return key;
  Rendezvous& read = rendezvous.emplace();
  const std::pair<const char*, std::string*> texts[] = {
      {"store", &read.store}, {"path", &read.path}, {"host", &read.host}};
  for (const auto& [name, text] : texts) {
    const auto found = json.find(name);
    if (found == json.end()) continue;
    if (Wrong wrong = Read(*found, StrCat(key, ".", name), *text)) return wrong;
  }
  return std::nullopt;
}

// What must fit together. The key that does not, or nothing.
Wrong Unfit(const AttemptFacts& facts) {
  if (facts.kind != "PREPARE" && facts.kind != "TRAIN") return "kind";
  if (facts.world_size < 1) return "world_size";
  if (facts.threads < 1) return "threads";
  if (facts.world_size == 1) return std::nullopt;
  if (!facts.rendezvous) return "rendezvous";
  const bool one_node = facts.rendezvous->store == "file";
  if (!one_node && facts.rendezvous->store != "tcp") return "rendezvous.store";
  if (one_node && facts.rendezvous->path.empty()) return "rendezvous.path";
  if (!one_node && facts.rendezvous->host.empty()) return "rendezvous.host";
  return std::nullopt;
}

}  // namespace

std::vector<CommittedCheckpoint> CheckpointsNewestFirst(const AttemptFacts& facts) {
  if (facts.resume_path.empty()) return {};
  std::vector<CommittedCheckpoint> checkpoints = {{.path = facts.resume_path, .manifest_sha256 = ""}};
  for (auto one = facts.committed_checkpoints.rbegin(); one != facts.committed_checkpoints.rend(); ++one) {
    if (one->path == facts.resume_path) {
      checkpoints.front() = *one;
    } else {
      checkpoints.push_back(*one);
    }
  }
  return checkpoints;
}

OrderedJson ToJson(const AttemptFacts& facts) {
  const AttemptFacts defaults;
  OrderedJson run = OrderedJson::object();
  ForEachFact([&](const auto& fact) {
    if (fact.presence == Presence::kLater && facts.*fact.member == defaults.*fact.member) return;
    run[fact.key] = Written(facts.*fact.member);
  });
  return run;
}

StatusOr<AttemptFacts> AttemptFactsFromJson(const Json& run) {
  AttemptFacts facts;
  Wrong wrong;
  if (!run.is_object()) return absl::InvalidArgumentError("'run' is missing or of the wrong kind");
  ForEachFact([&](const auto& fact) {
    if (wrong) return;
    const auto found = run.find(fact.key);
    if (found != run.end()) {
      wrong = Read(*found, fact.key, facts.*fact.member);
    } else if (fact.presence == Presence::kRequired) {
      wrong = fact.key;
    }
  });
  if (!wrong) wrong = Unfit(facts);
  if (wrong) return absl::InvalidArgumentError(StrCat("'run.", *wrong, "' is missing or of the wrong kind"));
  return facts;
}

}  // namespace ft::process
