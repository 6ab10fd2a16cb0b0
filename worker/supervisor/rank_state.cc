#include "worker/supervisor/rank_state.h"

#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "nlohmann/json.hpp"

namespace ft::supervisor {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxStateBytes = 64 << 10;

}  // namespace

std::filesystem::path RankStateStore::PathOf(const rankhost::RankKey& key) const {
  // Job ids come from outside this program; a digest is a safe file name.
  return dir_ / (Hex(Sha256Of(StrCat(key.job_id, "/", key.epoch, "/", key.rank))).substr(0, 32) + ".json");
}

Status RankStateStore::Save(const RankState& state) const {
  RETURN_IF_ERROR(MakeDirectories(dir_));
  const Json json = {{"job", state.key.job_id}, {"epoch", state.key.epoch},      {"rank", state.key.rank},
                     {"pid", state.pid},        {"boot_id", state.boot_id},      {"start_time", state.start_time},
                     {"exited", state.exited},  {"wait_status", state.wait_status}};
  return WriteFileDurably(PathOf(state.key), json.dump(2) + "\n");
}

Status RankStateStore::Remove(const rankhost::RankKey& key) const {
  const std::filesystem::path path = PathOf(key);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus("remove", path, errno);
  return absl::OkStatus();
}

StatusOr<std::vector<RankState>> RankStateStore::LoadAll() const {
  RETURN_IF_ERROR(MakeDirectories(dir_));
  std::vector<RankState> states;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(dir_, error)) {
    if (entry.path().extension() != ".json") continue;
    ASSIGN_OR_RETURN(const std::string text, ReadFile(entry.path(), kMaxStateBytes));
    try {
      const Json json = Json::parse(text);
      states.push_back({{json.at("job"), json.at("epoch"), json.at("rank")},
                        json.at("pid"),
                        json.at("boot_id"),
                        json.at("start_time"),
                        json.at("exited"),
                        json.at("wait_status")});
    } catch (const Json::exception& problem) {
      return absl::DataLossError(StrCat(entry.path().string(), " is no rank state (", problem.what(), "): remove it"));
    }
  }
  if (error) return ErrnoStatus("list", dir_, error.value());
  return states;
}

StatusOr<std::string> BootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  if (!(file >> id)) return absl::InternalError("cannot read /proc/sys/kernel/random/boot_id");
  return id;
}

StatusOr<uint64_t> StartTime(pid_t pid) {
  std::ifstream file(StrCat("/proc/", pid, "/stat"));
  std::string line;
  if (!std::getline(file, line)) return absl::NotFoundError(StrCat("no process ", pid));
  // The program's name, in parentheses, may hold anything; 20 more fields follow it.
  std::istringstream rest(line.substr(line.rfind(')') + 1));
  std::string field;
  for (int i = 0; i < 20; ++i) rest >> field;
  return std::strtoull(field.c_str(), nullptr, 10);
}

}  // namespace ft::supervisor
