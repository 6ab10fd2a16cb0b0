// What the coordinator orders. Every command may arrive twice; the second time it changes nothing.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "core/hub/access.h"
#include "core/process/numeric_environment.h"
#include "worker/node/agent/agent.h"
#include "worker/node/agent/data_cache.h"

namespace ft::agent {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kCacheLook = absl::Minutes(5);
// Other nodes may share the folder, and prepare what nobody names yet.
constexpr std::chrono::minutes kCacheRecent{10};

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

// Whether the job's ranks must not outlive the node's lease.
bool IsStrict(const std::string& job_json) {
  const auto spec = nlohmann::json::parse(job_json, nullptr, /*allow_exceptions=*/false);
  return spec.is_object() && spec.contains("strict_exclusive") && spec["strict_exclusive"] == true;
}

// Below the folder of all runs, which other nodes may share. No job is called so.
std::string DiscardedName(const std::string& node_id) { return StrCat(".discarded-", node_id); }

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
    case wpb::Command::kSetRendezvous: return SetRendezvous(command.set_rendezvous());
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

process::AttemptFacts Agent::FactsOf(const wpb::StartRanks& start) const {
  process::AttemptFacts facts{
      .job_id = start.job_id(),
      .epoch = start.epoch(),
      .kind = wpb::AttemptKind_Name(start.kind()),
      .world_size = start.world_size(),
      .ranks_on_node = {start.ranks_on_node().begin(), start.ranks_on_node().end()},
      .threads = start.threads(),
      .device_slots = start.device_uuids().empty() ? 1 : static_cast<int>(config_.slots_per_device),
      .resume_step = start.resume_step(),
      .resume_path = start.resume_path(),
      .prepared_cache = start.prepared_cache(),
      .prepared_sha256 = start.prepared_sha256(),
      .run_dir = config_.SharedRunsDir() / start.job_id(),
      .cache_dir = config_.CacheDir(),
      .job_created = start.job_created()};
  if (!start.roots().empty()) facts.roots.assign(start.roots().begin(), start.roots().end());
  for (int i = 0; i < start.committed_checkpoints_size(); ++i) {
    facts.committed_checkpoints.push_back(
        {.path = start.committed_checkpoints(i),
         // A coordinator of before tells no digests.
         .manifest_sha256 = i < start.committed_manifests_size() ? start.committed_manifests(i) : ""});
  }
  if (start.has_rendezvous()) {
    const wpb::Rendezvous& meeting = start.rendezvous();
    facts.rendezvous =
        process::Rendezvous{.store = meeting.store(), .path = meeting.path(), .host = meeting.host()};
  }
  return facts;
}

Status Agent::PrepareAttempt(const wpb::StartRanks& start, const fs::path& attempt_dir) {
  RETURN_IF_ERROR(MakeDirectories(config_.SharedRunsDir() / start.job_id()));
  for (const int32_t rank : start.ranks())
    RETURN_IF_ERROR(MakeDirectories(attempt_dir / StrCat("rank", rank)));
  nlohmann::ordered_json spec =
      nlohmann::ordered_json::parse(start.job_json(), nullptr, /*allow_exceptions=*/false);
  if (!spec.is_object()) return absl::InvalidArgumentError("the job's configuration is not JSON");
  const nlohmann::ordered_json job = {{"spec", std::move(spec)}, {"run", process::ToJson(FactsOf(start))}};
  return WriteFileDurably(attempt_dir / "job.json", job.dump(2));
}

nlohmann::json Agent::StartMessage(const wpb::StartRanks& start, const RankRun& run,
                                   const std::string& visible_devices) const {
  nlohmann::json body = ToJson(run.key());
  body["op"] = "start";
  body["kind"] = wpb::AttemptKind_Name(start.kind());
  body["argv"] = {config_.rank_binary,    "run",          "--attempt", run.AttemptDir().string(), "--rank",
                  StrCat(run.key().rank), "--control-fd", "3"};
  body["env"] = {{"OMP_NUM_THREADS", StrCat(std::max(1, start.threads()))},
                 {"CUDA_VISIBLE_DEVICES", visible_devices}};
  // Memory that LibTorch's allocator can grow in place has fewer holes.
  if (!visible_devices.empty()) body["env"]["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True";
  for (const auto& [name, value] : process::NumericEnvironment()) body["env"][name] = value;
  // In the environment, which only this user can read: not on a disk, and not on a command line.
  body["env"][hub::kAccessVariable] =
      hub::ToJson({.settings = config_.Hubs(),
                   .tokens = {start.hub_tokens().huggingface(), start.hub_tokens().modelscope()}});
  body["cwd"] = run.RankDir().string();
  body["stdout"] = (run.RankDir() / "stdout.log").string();
  body["stderr"] = (run.RankDir() / "stderr.log").string();
  return body;
}

std::string Agent::StartRanks(const wpb::StartRanks& start) {
  if (!CleanJobId(start.job_id())) return "bad job id";
  const fs::path attempt_dir = config_.RunsDir() / start.job_id() / "attempts" / StrCat(start.epoch());
  bool any = false;
  for (const int32_t rank : start.ranks())
    any = any || !runs_.contains({start.job_id(), start.epoch(), rank});
  if (!any) return "";
  PruneCheckpoints(start);
  if (!start.prepared_cache().empty()) TouchCache(start.prepared_cache());
  const Status prepared = PrepareAttempt(start, attempt_dir);
  const bool strict = IsStrict(start.job_json());
  int index = 0;
  for (const int32_t rank : start.ranks()) {
    const RankKey key{start.job_id(), start.epoch(), rank};
    const int device = index++;
    if (runs_.contains(key)) continue;
    const auto run = NewRun(key, start.kind());
    run->Adopt();
    if (draining_) {
      run->OnNotStarted(finetune::v1::FailureClass_Name(finetune::v1::PREEMPTED),
                        StrCat("node ", config_.node_id, " is draining"));
      continue;
    }
    if (!prepared.ok()) {
      // What this node's disk does not take now, it may take after a pause.
      const auto failure_class =
          absl::IsInvalidArgument(prepared) ? finetune::v1::CONFIG : finetune::v1::CHECKPOINT_IO;
      run->OnNotStarted(finetune::v1::FailureClass_Name(failure_class), std::string(Message(prepared)));
      continue;
    }
    const bool one_each = start.device_uuids_size() == start.ranks_size();
    nlohmann::json body =
        StartMessage(start, *run, one_each ? start.device_uuids(device) : Joined(start.device_uuids()));
    body["strict"] = strict;
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

std::string Agent::SetRendezvous(const wpb::SetRendezvous& set) {
  for (const auto& [key, run] : runs_) {
    if (key.job_id == set.job_id() && key.epoch == set.epoch()) run->SetRendezvous(set.address());
  }
  return "";
}

std::string Agent::DeleteFiles(const wpb::DeleteFiles& files) {
  if (!CleanJobId(files.job_id())) return "bad job id";
  std::vector<std::pair<fs::path, fs::path>> targets;  // With the folder of all runs that they are in.
  for (const fs::path& runs : {config_.RunsDir(), config_.SharedRunsDir()}) {
    const fs::path run_dir = runs / files.job_id();
    for (const std::string& path : files.paths()) {
      auto inside = Inside(run_dir, path);
      if (!inside.ok()) return std::string(Message(inside.status()));
      targets.emplace_back(runs, *std::move(inside));
    }
    if (files.paths().empty()) targets.emplace_back(runs, run_dir);
  }
  for (const auto& [runs, target] : targets) {
    if (const Status discarded = Discard(runs, target); !discarded.ok())
      return std::string(Message(discarded));
  }
  return "";
}

// A model's checkpoints take a while to remove, a rename takes none, and what an agent that died has left there goes later.
Status Agent::Discard(const fs::path& runs, const fs::path& target) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(target, error))) return absl::OkStatus();  // Already gone is as good.
  const fs::path discarded = runs / DiscardedName(config_.node_id);
  RETURN_IF_ERROR(MakeDirectories(discarded));
  const fs::path away = discarded / StrCat(absl::ToInt64Nanoseconds(clock_.BootTime()), ".", ++discarded_);
  if (::rename(target.c_str(), away.c_str()) != 0 && errno != ENOENT)
    return ErrnoStatus("remove", target, errno);
  return RemoveLater(away);
}

void Agent::DropCheckpoint(const RankKey& key, const std::string& path) {
  const fs::path runs = config_.SharedRunsDir();
  const auto inside = Inside(runs / key.job_id, path);
  if (!inside.ok()) return;
  spdlog::info("job {}: {} goes, newer checkpoints wait for the coordinator", key.job_id, path);
  if (const Status gone = Discard(runs, *inside); !gone.ok()) spdlog::warn("{}", std::string(Message(gone)));
}

void Agent::PruneCheckpoints(const wpb::StartRanks& start) {
  if (!start.prunes()) return;
  const fs::path runs = config_.SharedRunsDir(), run_dir = runs / start.job_id();
  std::set<std::string> kept(start.committed_checkpoints().begin(), start.committed_checkpoints().end());
  kept.insert(start.resume_path());
  const std::string own = StrCat("e", start.epoch(), "-");
  std::vector<fs::path> left;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(run_dir / "checkpoints", none)) {
    const std::string name = entry.path().filename().string();
    const bool unfinished = name.starts_with('.');
    if (name.substr(unfinished ? 1 : 0).starts_with(own) || kept.contains(StrCat("checkpoints/", name)))
      continue;
    left.push_back(entry.path());
  }
  for (const fs::path& path : left) {
    if (const Status gone = Discard(runs, path); !gone.ok()) spdlog::warn("{}", std::string(Message(gone)));
  }
}

void Agent::LookAtCache() {
  const absl::Duration now = clock_.BootTime();
  if (cache_looked_ != absl::ZeroDuration() && now - cache_looked_ < kCacheLook) return;
  cache_looked_ = now;
  const Status queued = files_.Run([this, folder = config_.CacheDir()](const std::stop_token&) {
    const int64_t bytes = BytesOf(ListCaches(folder));
    boost::asio::post(context_, [this, bytes] { cache_full_ = bytes > config_.cache_max; });
  });
  if (!queued.ok()) spdlog::warn("{}", std::string(Message(queued)));
}

void Agent::TrimCache(const wpb::RenewLeaseResponse& response) {
  cache_full_ = false;
  // What is prepared just now is named by nobody yet.
  const bool prepares = std::any_of(runs_.begin(), runs_.end(),
                                    [](const auto& item) { return item.second->kind() == wpb::PREPARE; });
  if (prepares) return;
  std::set<std::string> live(response.live_caches().begin(), response.live_caches().end());
  const Status queued = files_.Run(
      [live = std::move(live), folder = config_.CacheDir(), max = config_.cache_max](const std::stop_token&) {
        const auto recent = fs::file_time_type::clock::now() - kCacheRecent;
        for (const fs::path& path : ToEvict(ListCaches(folder), max, live, recent)) {
          std::error_code failed;
          fs::remove(path, failed);
          spdlog::info("cached {} goes: the cache is larger than cache_max", path.filename().string());
        }
      });
  if (!queued.ok()) spdlog::warn("{}", std::string(Message(queued)));
}

Status Agent::RemoveLater(const fs::path& path) {
  return files_.Run([path](const std::stop_token&) {
    std::error_code failed;
    fs::remove_all(path, failed);
    if (failed) spdlog::warn("{} stays on the disk: {}", path.string(), failed.message());
  });
}

void Agent::RemoveDiscarded() {
  for (const fs::path& runs : {config_.RunsDir(), config_.SharedRunsDir()}) {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(runs / DiscardedName(config_.node_id), none)) {
      const Status queued = RemoveLater(entry.path());
      if (!queued.ok()) spdlog::warn("{}", std::string(Message(queued)));
    }
  }
}

}  // namespace ft::agent
