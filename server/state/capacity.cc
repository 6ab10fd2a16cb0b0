#include "server/state/capacity.h"

#include <algorithm>
#include <map>

#include "server/state/device_faults.h"
#include "server/state/transaction.h"

namespace ft::state {
namespace {

// Later than any job whose end is known.
constexpr double kEndNotKnown = 365.0 * 24 * 3600;
// A preparation that is stopped, and one that ends, free their place within a moment.
constexpr double kEndsAtOnce = 1;

pb::Device CpuOf(const spb::StoredNode& node) {
  for (const pb::Device& device : node.devices()) {
    if (device.kind() == "cpu") return device;
  }
  return {};
}

// In seconds from now. A job without an estimate is expected to end after all that have one and have started later.
double EndOf(const ClusterState& state, const spb::StoredAttempt& attempt, absl::Time now) {
  if (attempt.state() == spb::StoredAttempt::STOPPING) return kEndsAtOnce;
  const JobPtr job = state.jobs.Find(attempt.job_id());
  if (job != nullptr && job->job().state() == pb::RUNNING && job->job().progress().has_eta()) {
    return static_cast<double>(job->job().progress().eta().seconds()) + kEndsAtOnce;
  }
  return kEndNotKnown - absl::ToDoubleSeconds(now - FromProto(attempt.create_time()));
}

struct Usage {
  int preparations = 0;
  std::vector<schedule::Holding> holdings;
};

int SlotsOf(const pb::Device& device) { return std::max(1, device.slots()); }

schedule::Device SlotOf(const pb::Device& device, int64_t free_bytes, int slot) {
  const int slots = SlotsOf(device);
  return {device.uuid(), std::min(free_bytes, device.total_memory_bytes() / slots), device.arch(), slot,
          slots > 1};
}

// Ranks that hold a slot of the device, of those told so far.
int SlotsHeld(const Usage& usage, const std::string& uuid) {
  int held = 0;
  for (const schedule::Holding& holding : usage.holdings) {
    held += static_cast<int>(std::count_if(holding.gpus.begin(), holding.gpus.end(),
                                           [&](const schedule::Device& gpu) { return gpu.uuid == uuid; }));
  }
  return held;
}

// What a rank holds: all of its slot's memory.
schedule::Device HeldDevice(const spb::StoredNode& node, const Usage& usage, const std::string& uuid) {
  for (const pb::Device& device : node.devices()) {
    if (device.uuid() == uuid) return SlotOf(device, device.total_memory_bytes(), SlotsHeld(usage, uuid));
  }
  return {uuid, 0, ""};
}

std::map<std::string, Usage> UsageOf(const ClusterState& state, absl::Time now) {
  std::map<std::string, Usage> usage;
  state.active.ForEach([&](const AttemptPtr& attempt) {
    const double ends = EndOf(state, *attempt, now);
    for (const spb::StoredRank& rank : attempt->ranks()) {
      Usage& here = usage[rank.node_id()];
      if (attempt->kind() != wpb::TRAIN) {
        ++here.preparations;
        continue;
      }
      schedule::Holding held{ends, attempt->threads(), {}};
      const NodePtr node = state.nodes.Find(rank.node_id());
      for (const std::string& uuid : rank.device_uuids()) {
        if (node != nullptr) held.gpus.push_back(HeldDevice(*node, here, uuid));
      }
      here.holdings.push_back(std::move(held));
    }
  });
  return usage;
}

// The free slots of a device. One that is excluded is as good as held until that ends.
void AddSlots(const spb::StoredNode& node, const pb::Device& device, const Usage& usage, absl::Time now,
              schedule::NodeCapacity& capacity) {
  const absl::Duration excluded = ExcludedFor(node, device.uuid(), now);
  schedule::Holding held{.ends = absl::ToDoubleSeconds(excluded)};
  std::vector<schedule::Device>& slots = excluded > absl::ZeroDuration() ? held.gpus : capacity.free_gpus;
  for (int slot = SlotsHeld(usage, device.uuid()); slot < SlotsOf(device); ++slot)
    slots.push_back(SlotOf(device, device.free_memory_bytes(), slot));
  capacity.excluded_gpus += static_cast<int>(held.gpus.size());
  if (!held.gpus.empty()) capacity.holdings.push_back(std::move(held));
}

schedule::NodeCapacity CapacityOf(const spb::StoredNode& node, const Usage& usage, absl::Time now) {
  schedule::NodeCapacity capacity;
  capacity.node_id = node.node_id();
  capacity.cpu_arch = CpuOf(node).arch();
  capacity.holdings = usage.holdings;
  for (const pb::Device& device : node.devices()) {
    capacity.cores += device.cores();
    if (device.kind() == "cpu") continue;
    if (device.problem().empty()) {
      AddSlots(node, device, usage, now, capacity);
    } else {
      ++capacity.excluded_gpus;
    }
  }
  capacity.free_cores = capacity.cores;
  for (const schedule::Holding& held : usage.holdings) capacity.free_cores -= held.cores;
  // A worker that does not say how many it takes is of a version before slots.
  const int slots = node.prepare_slots() > 0 ? node.prepare_slots() : std::max(1, capacity.cores / 2);
  capacity.free_slots = slots - usage.preparations;
  return capacity;
}

// The nodes that see what lies on `node_id`; empty = any node will do.
std::vector<std::string> NodesThatSee(const ClusterState& state, const std::string& node_id) {
  if (node_id.empty()) return {};
  std::vector<std::string> nodes = {node_id};
  const NodePtr home = state.nodes.Find(node_id);
  if (home == nullptr || home->shared_dir().empty()) return nodes;
  state.nodes.ForEach([&](const NodePtr& node) {
    if (node->node_id() != node_id && node->shared_dir() == home->shared_dir())
      nodes.push_back(node->node_id());
  });
  return nodes;
}

bool IsCapability(const std::string& arch) { return !arch.empty() && arch[0] >= '0' && arch[0] <= '9'; }

// A job that leaves the device open takes a GPU where any node has one, and stays with the kind that it began on.
bool WantsGpu(const ClusterState& state, const spb::StoredJob& job, const std::string& began_on) {
  if (job.device() != "auto") return job.device() == "gpu";
  if (!began_on.empty()) return IsCapability(began_on);
  bool any = false;
  state.nodes.ForEach([&](const NodePtr& node) {
    if (node->state() != pb::READY) return;
    any = any || std::any_of(node->devices().begin(), node->devices().end(), [](const pb::Device& device) {
            return device.kind() != "cpu" && device.problem().empty();
          });
  });
  return any;
}

}  // namespace

std::vector<schedule::NodeCapacity> CapacitiesOf(const ClusterState& state, absl::Time now) {
  std::map<std::string, Usage> usage = UsageOf(state, now);
  std::vector<schedule::NodeCapacity> nodes;
  state.nodes.ForEach([&](const NodePtr& node) {
    if (node->state() == pb::READY) nodes.push_back(CapacityOf(*node, usage[node->node_id()], now));
  });
  std::sort(nodes.begin(), nodes.end(), [](const auto& a, const auto& b) { return a.node_id < b.node_id; });
  return nodes;
}

schedule::Gang GangOf(const ClusterState& state, const spb::StoredJob& job) {
  schedule::Gang gang;
  gang.job_id = job.job_id();
  gang.priority = job.priority();
  gang.order = job.order();
  gang.ranks = job.min_ranks() > 0 ? job.max_ranks() : job.ranks();
  gang.least_ranks = job.min_ranks();
  gang.threads = job.threads();
  gang.device_memory_bytes = job.device_memory_bytes();
  gang.least_capability = job.least_capability();
  if (job.has_numerics() && !job.allow_numeric_change()) {
    gang.threads = job.numerics().threads();
    gang.arch = job.numerics().device_arch();
  }
  gang.gpu = WantsGpu(state, job, gang.arch);
  if (job.job().progress().has_eta()) gang.takes = static_cast<double>(job.job().progress().eta().seconds());
  gang.prepares = job.job().state() == pb::PREPARING;
  if (!gang.prepares)
    gang.nodes = NodesThatSee(state, job.resume_node().empty() ? job.prepared_node() : job.resume_node());
  return gang;
}

bool Waits(const ClusterState& state, const spb::StoredJob& job, absl::Time now) {
  if (job.has_not_before() && now < FromProto(job.not_before())) return false;
  const pb::JobState job_state = job.job().state();
  if (job_state == pb::QUEUED) return true;
  if (job_state != pb::PREPARING && job_state != pb::RECOVERING) return false;
  const AttemptPtr attempt = CurrentAttempt(state, job);
  return attempt == nullptr || attempt->state() == spb::StoredAttempt::ENDED;
}

std::map<std::string, schedule::Gang> WaitingGangs(const ClusterState& state, absl::Time now) {
  std::map<std::string, schedule::Gang> gangs;
  state.waiting.ForEach([&](const JobPtr& job) {
    if (Waits(state, *job, now)) gangs[job->job_id()] = GangOf(state, *job);
  });
  return gangs;
}

std::optional<WaitReason> WhyWaits(const ClusterState& state, const std::string& job_id, absl::Time now) {
  const std::map<std::string, schedule::Gang> gangs = WaitingGangs(state, now);
  const auto gang = gangs.find(job_id);
  if (gang == gangs.end()) return std::nullopt;
  std::vector<schedule::Gang> queue;
  for (const auto& [id, waiting] : gangs) queue.push_back(waiting);
  const std::vector<schedule::NodeCapacity> nodes = CapacitiesOf(state, now);
  for (const schedule::Unplaced& unplaced : schedule::Place(std::move(queue), nodes).waiting) {
    if (unplaced.job_id != job_id) continue;
    return WaitReason{unplaced.why, schedule::Sentence(gang->second, unplaced.why),
                      schedule::Details(gang->second, nodes)};
  }
  return std::nullopt;
}

}  // namespace ft::state
