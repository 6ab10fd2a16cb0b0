#include "worker/node/supervisor/rank_table.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace ft::supervisor {
namespace {

// What a process that vanished with its supervisor is said to have died of.
constexpr int kKilledStatus = SIGKILL;

}  // namespace

StatusOr<RankTable> RankTable::Open(const std::filesystem::path& dir) {
  RankTable table;
  table.dir_ = dir;
  RETURN_IF_ERROR(MakeDirectories(dir));
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(dir, error)) {
    if (entry.path().extension() != ".json") continue;
    ASSIGN_OR_RETURN(const std::string text, ReadFile(entry.path(), 1 << 20));
    auto rank = process::RankFromJson(nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false));
    if (!rank.ok()) return WithContext(rank.status(), entry.path().string());
    if (!rank->wait_status) {
      const bool ours =
          rank->boot_id == process::BootId() && process::StartTicks(rank->pid) == rank->start_ticks;
      if (ours) ::kill(-rank->pid, SIGKILL);
      rank->wait_status = kKilledStatus;
      RETURN_IF_ERROR(table.Save(*rank));
    }
    const RankKey key = rank->key;
    table.ranks_.emplace(key, *std::move(rank));
  }
  return table;
}

std::filesystem::path RankTable::PathOf(const RankKey& key) const {
  return dir_ / StrCat(key.job_id, ".", key.epoch, ".", key.rank, ".json");
}

Status RankTable::Save(const RankProcess& rank) {
  return WriteFileDurably(PathOf(rank.key), ToJson(rank).dump());
}

Status RankTable::Add(RankProcess rank) {
  RETURN_IF_ERROR(Save(rank));
  const RankKey key = rank.key;
  ranks_.insert_or_assign(key, std::move(rank));
  return absl::OkStatus();
}

Status RankTable::RecordExit(const RankKey& key, int wait_status) {
  RankProcess* rank = Find(key);
  if (rank == nullptr) return absl::NotFoundError("no such rank");
  rank->wait_status = wait_status;
  rank->pidfd.Reset();
  rank->control.Reset();
  const Status saved = Save(*rank);
  if (!saved.ok()) unsaved_.insert(key);
  return saved;
}

void RankTable::SaveAgain() {
  std::erase_if(unsaved_, [&](const RankKey& key) { return Save(ranks_.at(key)).ok(); });
}

Status RankTable::Forget(const RankKey& key) {
  const RankProcess* rank = Find(key);
  if (rank == nullptr || !rank->wait_status) return absl::OkStatus();
  if (::unlink(PathOf(key).c_str()) != 0) return ErrnoStatus("unlink", PathOf(key), errno);
  ranks_.erase(key);
  unsaved_.erase(key);
  return SyncDirectory(dir_);
}

RankProcess* RankTable::Find(const RankKey& key) {
  const auto it = ranks_.find(key);
  return it == ranks_.end() ? nullptr : &it->second;
}

}  // namespace ft::supervisor
