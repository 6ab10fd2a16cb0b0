#include "core/process/rank_process.h"

#include <limits>

namespace ft::process {
namespace {

// Keys with a text, where they are there.
constexpr const char* kTexts[] = {"job_id", "kind", "boot_id", "end_reason"};

// Keys with a whole number. Process 1 is nobody's rank, and 0 and below would name process groups.
struct Whole {
  const char* key;
  int64_t least;
  int64_t most;
  bool required = false;
};
constexpr Whole kWholes[] = {{"epoch", 0, std::numeric_limits<int64_t>::max(), true},
                             {"rank", 0, 1 << 20, true},
                             {"pid", 2, 1 << 22, true},
                             {"start_ticks", 0, std::numeric_limits<int64_t>::max()},
                             {"wait_status", 0, 0xffff}};

bool InRange(const nlohmann::json& json, const Whole& whole) {
  const auto found = json.find(whole.key);
  if (found == json.end()) return !whole.required;
  if (!found->is_number_integer()) return false;
  const auto value = found->get<int64_t>();  // Negative when it is too large for the type.
  return value >= whole.least && value <= whole.most;
}

// State files are named after the job.
bool IsFileName(const std::string& name) {
  return !name.empty() && name[0] != '.' && name.find('/') == std::string::npos;
}

}  // namespace

nlohmann::json ToJson(const RankKey& key) {
  return {{"job_id", key.job_id}, {"epoch", key.epoch}, {"rank", key.rank}};
}

RankKey KeyFromJson(const nlohmann::json& json) {
  return {json.value("job_id", ""), json.value("epoch", int64_t{0}), json.value("rank", 0)};
}

nlohmann::json ToJson(const RankProcess& rank) {
  nlohmann::json json = ToJson(rank.key);
  json["kind"] = rank.kind;
  json["pid"] = rank.pid;
  json["boot_id"] = rank.boot_id;
  json["start_ticks"] = rank.start_ticks;
  if (rank.strict) json["strict"] = true;
  if (!rank.end_reason.empty()) json["end_reason"] = rank.end_reason;
  if (rank.wait_status) json["wait_status"] = *rank.wait_status;
  return json;
}

StatusOr<RankProcess> RankFromJson(const nlohmann::json& json) {
  if (!json.is_object()) return absl::DataLossError("not a rank's state: no JSON object");
  for (const char* key : kTexts) {
    if (json.contains(key) && !json[key].is_string())
      return absl::DataLossError(StrCat("not a rank's state: ", key, " is no text"));
  }
  for (const Whole& whole : kWholes) {
    if (!InRange(json, whole)) {
      return absl::DataLossError(
          StrCat("not a rank's state: ", whole.key, " is not from ", whole.least, " to ", whole.most));
    }
  }
  if (json.contains("strict") && !json["strict"].is_boolean())
    return absl::DataLossError("not a rank's state: strict is neither true nor false");
  if (!IsFileName(json.value("job_id", "")))
    return absl::DataLossError("not a rank's state: job_id names no job");
  RankProcess rank;
  rank.key = KeyFromJson(json);
  rank.kind = json.value("kind", "");
  rank.pid = json.value("pid", 0);
  rank.boot_id = json.value("boot_id", "");
  rank.strict = json.value("strict", false);
  rank.end_reason = json.value("end_reason", "");
  rank.start_ticks = json.value("start_ticks", uint64_t{0});
  if (json.contains("wait_status")) rank.wait_status = json.value("wait_status", 0);
  return rank;
}

}  // namespace ft::process
