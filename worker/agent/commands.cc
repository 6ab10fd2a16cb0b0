// What the coordinator orders. Every command may arrive twice; the second time it changes nothing.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "worker/agent/agent.h"

namespace ft::agent {
namespace {

namespace fs = std::filesystem;

// A path from outside, inside `base` or nothing.
StatusOr<fs::path> Inside(const fs::path& base, const std::string& relative) {
  const fs::path clean = fs::path(relative).lexically_normal();
  if (clean.empty() || clean == "." || clean.is_absolute() || *clean.begin() == "..") {
    return absl::InvalidArgumentError(StrCat("path '", relative, "' is not inside the job's folder"));
  }
  return base / clean;
}

bool CleanJobId(const std::string& id) {
  return !id.empty() && id.size() <= 64 &&
         id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
}

std::string Joined(const google::protobuf::RepeatedPtrField<std::string>& items) {
  std::string text;
  for (const std::string& item : items) StrAppend(&text, text.empty() ? "" : ",", item);
  return text;
}

}  // namespace

bool Agent::AcceptTerm(int64_t term) {
  if (term < term_) return false;
  if (term == term_) return true;
  const Status saved = WriteFileDurably(fs::path(config_.data) / "term", StrCat(term));
  if (!saved.ok()) {
    spdlog::error("{}", std::string(Message(saved)));
    return false;
  }
  term_ = term;
  return true;
}

std::string Agent::Handle(const wpb::Command& command) {
  if (!AcceptTerm(command.coordinator_term())) {
    return StrCat("term ", command.coordinator_term(), " is old: term ", term_, " has been seen");
  }
  switch (command.command_case()) {
    case wpb::Command::kStartRanks: return StartRanks(command.start_ranks());
    case wpb::Command::kStopRanks: return StopRanks(command.stop_ranks());
    case wpb::Command::kDeleteFiles: return DeleteFiles(command.delete_files());
    case wpb::Command::kTakeCheckpoint:
      for (const auto& [key, run] : runs_) {
        if (key.job_id == command.take_checkpoint().job_id() &&
            key.epoch == command.take_checkpoint().epoch()) {
          run->TakeCheckpoint();
        }
      }
      return "";
    default: return "this worker does not know this command";
  }
}

Status Agent::PrepareAttempt(const wpb::StartRanks& start, const fs::path& attempt_dir) {
  for (const int32_t rank : start.ranks())
    RETURN_IF_ERROR(MakeDirectories(attempt_dir / StrCat("rank", rank)));
  nlohmann::ordered_json spec =
      nlohmann::ordered_json::parse(start.job_json(), nullptr, /*allow_exceptions=*/false);
  if (!spec.is_object()) return absl::InvalidArgumentError("the job's configuration is not JSON");
  const nlohmann::ordered_json job = {{"spec", std::move(spec)},
                                      {"run",
                                       {{"job_id", start.job_id()},
                                        {"epoch", start.epoch()},
                                        {"kind", wpb::AttemptKind_Name(start.kind())},
                                        {"world_size", start.world_size()},
                                        {"threads", start.threads()},
                                        {"resume_step", start.resume_step()},
                                        {"resume_path", start.resume_path()},
                                        {"prepared_cache", start.prepared_cache()},
                                        {"prepared_sha256", start.prepared_sha256()},
                                        {"run_dir", (config_.RunsDir() / start.job_id()).string()},
                                        {"cache_dir", config_.CacheDir().string()}}}};
  return WriteFileDurably(attempt_dir / "job.json", job.dump(2));
}

std::string Agent::StartRanks(const wpb::StartRanks& start) {
  if (!CleanJobId(start.job_id())) return "bad job id";
  const fs::path attempt_dir = config_.RunsDir() / start.job_id() / "attempts" / StrCat(start.epoch());
  bool any = false;
  for (const int32_t rank : start.ranks())
    any = any || !runs_.contains({start.job_id(), start.epoch(), rank});
  if (!any) return "";
  const Status prepared = PrepareAttempt(start, attempt_dir);
  int index = 0;
  for (const int32_t rank : start.ranks()) {
    const RankKey key{start.job_id(), start.epoch(), rank};
    const int device = index++;
    if (runs_.contains(key)) continue;
    const auto run = NewRun(key, start.kind());
    run->Adopt();
    if (!prepared.ok()) {
      run->OnNotStarted(std::string(Message(prepared)));
      continue;
    }
    nlohmann::json body = ToJson(key);
    body["op"] = "start";
    body["kind"] = wpb::AttemptKind_Name(start.kind());
    body["argv"] = {config_.rank_binary, "run",          "--attempt", attempt_dir.string(), "--rank",
                    StrCat(rank),        "--control-fd", "3"};
    std::string visible;
    if (start.device_uuids_size() == start.ranks_size()) {
      visible = start.device_uuids(device);
    } else {
      visible = Joined(start.device_uuids());
    }
    body["env"] = {{"OMP_NUM_THREADS", StrCat(std::max(1, start.threads()))},
                   {"CUDA_VISIBLE_DEVICES", visible}};
    body["cwd"] = run->RankDir().string();
    body["stdout"] = (run->RankDir() / "stdout.log").string();
    body["stderr"] = (run->RankDir() / "stderr.log").string();
    spdlog::info("starting job {} attempt {} ({}) rank {}", start.job_id(), start.epoch(),
                 wpb::AttemptKind_Name(start.kind()), rank);
    Tell(body);
  }
  return "";
}

std::string Agent::StopRanks(const wpb::StopRanks& stop) {
  bool any = false;
  for (const auto& [key, run] : runs_) {
    if (key.job_id != stop.job_id() || key.epoch != stop.epoch()) continue;
    any = true;
    run->Stop(stop.checkpoint(), absl::Milliseconds(stop.grace_millis()));
  }
  return any ? "" : "unknown attempt";
}

std::string Agent::DeleteFiles(const wpb::DeleteFiles& files) {
  if (!CleanJobId(files.job_id())) return "bad job id";
  const fs::path run_dir = config_.RunsDir() / files.job_id();
  std::vector<fs::path> targets;
  for (const std::string& path : files.paths()) {
    auto inside = Inside(run_dir, path);
    if (!inside.ok()) return std::string(Message(inside.status()));
    targets.push_back(*std::move(inside));
  }
  if (files.paths().empty()) targets.push_back(run_dir);
  for (const fs::path& target : targets) {
    std::error_code error;
    fs::remove_all(target, error);  // Already gone is as good.
    if (error) return StrCat(target.string(), ": ", error.message());
  }
  return "";
}

}  // namespace ft::agent
