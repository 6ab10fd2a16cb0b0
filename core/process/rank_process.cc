#include "core/process/rank_process.h"

namespace ft::process {

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
  const bool shaped = json.is_object() && json.contains("job_id") && json["job_id"].is_string() &&
                      json.contains("pid") && json["pid"].is_number_integer() && json.contains("epoch") &&
                      json["epoch"].is_number_integer() && json.contains("rank") &&
                      json["rank"].is_number_integer();
  if (!shaped) return absl::DataLossError("not a rank's state");
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
