#include "worker/rank/state_place.h"

#include <utility>

#include "core/base/file.h"
#include "worker/data/prepare/paths.h"
#include "worker/rank/failure.h"
#include "worker/rank/free_memory.h"
#include "worker/train/offload/disk_tier.h"
#include "worker/train/offload/disk_weights.h"
#include "worker/train/offload/host_tier.h"
#include "worker/train/offload/host_weights.h"

namespace ft::rank {
namespace {

namespace fs = std::filesystem;

// The job's folder, which must lie where its sources may; or one of the node's cache.
StatusOr<fs::path> FolderOf(const Attempt& attempt) {
  const std::string& path = attempt.spec.parallel.offload.path;
  if (!path.empty()) return WithClass(prepare::ResolveSource(path, {.allowed = attempt.run.roots}), "CONFIG");
  const fs::path folder = attempt.run.cache_dir / "offload";
  RETURN_IF_ERROR(WithClass(MakeDirectories(folder), "CHECKPOINT_IO"));
  return folder;
}

StatusOr<fs::path> FolderFor(const Attempt& attempt) {
  StatusOr<fs::path> found = FolderOf(attempt);
  if (!found.ok()) return WithContext(found.status(), "parallel.offload.path");
  return found;
}

StatusOr<offload::OpenedTileFile> OpenIn(const fs::path& folder, int64_t bytes, std::string_view what) {
  StatusOr<offload::OpenedTileFile> opened = offload::OpenTileFile(folder, bytes, what);
  if (opened.ok()) return opened;
  const bool is_full = absl::IsResourceExhausted(opened.status());
  return WithClass(WithContext(opened.status(), "parallel.offload"), is_full ? "CHECKPOINT_IO" : "CONFIG");
}

Status CheckHost(int64_t bytes, std::string_view what, std::string_view setting) {
  const int64_t free = FreeMemory();
  if (free == 0 || bytes <= free) return absl::OkStatus();
  return WithClass(
      absl::ResourceExhaustedError(StrCat(what, " needs ", bytes, " bytes of the host's memory, ", free,
                                          " are free: use parallel.offload.", setting, ": disk")),
      "HOST_OOM");
}

Status OnDisk(const Attempt& attempt, plan::StateTiles tiles, offload::DiskOptions options,
              StatePlace& place) {
  ASSIGN_OR_RETURN(const fs::path folder, FolderFor(attempt));
  ASSIGN_OR_RETURN(offload::OpenedTileFile opened, OpenIn(folder, tiles.bytes(), "the optimizer's state"));
  place.warning = opened.remark;
  place.tier = offload::MakeDiskTier(std::move(tiles), std::move(opened.file), std::move(options));
  return absl::OkStatus();
}

Status InHostMemory(at::Device device, plan::StateTiles tiles, StatePlace& place) {
  RETURN_IF_ERROR(CheckHost(tiles.bytes(), "the optimizer's state", "optimizer"));
  place.tier = offload::MakeHostTier(std::move(tiles), device);
  return absl::OkStatus();
}

std::string RestsText(const StatePlace& place, int64_t tiles) {
  if (place.tier == nullptr) return "the optimizer's state stays where the weights are";
  return StrCat("the optimizer's state of each rank rests in ", place.tier->place(), " (",
                place.tier->bytes().held, " bytes of this one, ", tiles, tiles == 1 ? " tile" : " tiles",
                "), and each step reads and writes all of it");
}

}  // namespace

StatusOr<StatePlace> PlaceState(const Attempt& attempt, at::Device device, const Room& room,
                                plan::StateTiles tiles, std::function<void()> progress) {
  using recipe::StateTier;
  const StateTier wanted = recipe::StateTierOf(attempt.spec);
  const StateTier tier = recipe::Settled(wanted, device.is_cpu(), room.is_short());
  const auto count = static_cast<int64_t>(tiles.tiles().size());
  StatePlace place;
  if (wanted == StateTier::kWithWeights) return place;
  if (wanted != StateTier::kNextWhereShort && count == 0) {
    place.remarks.push_back(
        StrCat("parallel.offload: ", attempt.spec.train.optimizer.kind, " keeps no state, none is moved"));
    return place;
  }
  if (tier == StateTier::kDisk) {
    const offload::DiskOptions options{.pinned = !device.is_cpu(), .progress = std::move(progress)};
    RETURN_IF_ERROR(OnDisk(attempt, std::move(tiles), options, place));
  }
  if (tier == StateTier::kHost) RETURN_IF_ERROR(InHostMemory(device, std::move(tiles), place));
  std::string said = RestsText(place, count);
  if (wanted == StateTier::kNextWhereShort) {
    said = StrCat("train.optimizer.kind: ", attempt.spec.train.optimizer.kind, ": ", said);
    if (room.room > 0)
      StrAppend(&said, ", since the plan needs ", room.planned >> 20, " MiB and ", room.room >> 20,
                " are there");
  }
  // Of a job that asks for a CPU the settings say it already.
  const bool is_known = wanted == StateTier::kHost && attempt.spec.resources.device == "cpu";
  if (!is_known) place.remarks.push_back(std::move(said));
  return place;
}

StatusOr<std::unique_ptr<params::WeightTier>> PlaceWeights(const Attempt& attempt, at::Device device,
                                                           WeightsWanted wanted) {
  using recipe::StateTier;
  switch (recipe::Settled(wanted.tier, device.is_cpu(), /*short_of_room=*/false)) {
    case StateTier::kDisk: {
      ASSIGN_OR_RETURN(const fs::path folder, FolderFor(attempt));
      return offload::MakeDiskWeights(
          [folder](int64_t bytes, const std::string& what) { return OpenIn(folder, bytes, what); },
          {.pinned = !device.is_cpu(), .progress = std::move(wanted.progress)}, std::move(wanted.warning));
    }
    case StateTier::kHost:
      return offload::MakeHostWeights(device,
                                      [setting = wanted.setting](int64_t bytes, const std::string& what) {
                                        return CheckHost(bytes, what, setting);
                                      });
    default: return std::unique_ptr<params::WeightTier>();
  }
}

}  // namespace ft::rank
