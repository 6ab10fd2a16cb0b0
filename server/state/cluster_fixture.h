// A coordinator's state in tests, driven by events.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/state/apply.h"
#include "server/state/transaction.h"

namespace ft::state {

// With one node of `cores` cores.
class Cluster {
 public:
  // Without cores there is no node yet.
  explicit Cluster(int cores = 8) {
    state_.store_id = "test";
    state_.term = 1;
    if (cores > 0) Node("a", cores);
  }

  Transition Do(const Event& event) {
    now_ += absl::Seconds(1);
    Transition transition = Apply(state_, event, now_);
    for (const JobPtr& job : transition.changes.jobs) CheckEdge(*job);
    state_ = transition.next;
    return transition;
  }

  void Node(const std::string& id, int cores, const std::string& incarnation = "i1",
            std::vector<wpb::RankInventory> ranks = {}) {
    RegisterNode event;
    event.request.set_node_id(id);
    event.request.set_incarnation(incarnation);
    auto* device = event.request.add_devices();
    device->set_kind("cpu");
    device->set_cores(cores);
    for (const auto& rank : ranks) *event.request.add_ranks() = rank;
    verdicts_ = Do(event).reply.verdicts;
  }

  // Nodes a and b see the same files, so that a job may have ranks on both.
  void ShareFolder() {
    for (const char* id : {"a", "b"}) {
      auto node = std::make_shared<spb::StoredNode>(*state_.nodes.Find(id));
      node->set_shared_dir("/shared");
      node->set_address("10.0.0.1");
      state_.nodes.Set(id, node);
    }
  }

  // A node with GPUs of these uuids beside its cores.
  void GpuNode(const std::string& id, std::vector<std::string> uuids, const std::string& boot = "b1") {
    RegisterNode event;
    event.request.set_node_id(id);
    event.request.set_incarnation("i1");
    event.request.set_boot_id(boot);
    auto* cpu = event.request.add_devices();
    cpu->set_kind("cpu");
    cpu->set_cores(8);
    for (const std::string& uuid : uuids) {
      auto* gpu = event.request.add_devices();
      gpu->set_kind("gpu");
      gpu->set_uuid(uuid);
      gpu->set_arch("8.0");
      gpu->set_total_memory_bytes(int64_t{40} << 30);
      gpu->set_free_memory_bytes(int64_t{39} << 30);
    }
    Do(event);
  }

  void Create(const std::string& id, int ranks = 1, int threads = 2, const std::string& device = "cpu") {
    CreateJob event;
    event.row.set_job_id(id);
    event.row.set_namespace_id("default");
    event.row.set_ranks(ranks);
    event.row.set_threads(threads);
    event.row.set_device(device);
    event.row.set_keep_last(2);
    event.row.mutable_job()->set_display_name(id);
    Do(event);
    Do(SchedulePass{});
  }

  wpb::RankRef Ref(const std::string& id, int rank = 0) {
    wpb::RankRef ref;
    ref.set_job_id(id);
    ref.set_epoch(Job(id).epoch());
    ref.set_rank(rank);
    return ref;
  }

  Reply Report(const std::string& id, wpb::RankState rank_state, int rank = 0, int wait_status = 0,
               const std::string& node = "a") {
    RankReport event{node, {}};
    *event.report.mutable_ref() = Ref(id, rank);
    event.report.set_state(rank_state);
    event.report.set_wait_status(wait_status);
    return Do(event).reply;
  }

  Reply Records(const std::string& id, std::vector<wpb::RankRecord> records, int rank = 0) {
    return Do(RecordsArrived{"a", Ref(id, rank), std::move(records)}).reply;
  }

  wpb::RankRecord Result(uint64_t sequence, wpb::ResultRecord::State result,
                         const std::string& failure_class = "") {
    wpb::RankRecord record;
    record.set_sequence(sequence);
    record.mutable_result()->set_state(result);
    record.mutable_result()->set_failure_class(failure_class);
    record.mutable_result()->set_message("said so");
    return record;
  }

  void FinishPrepare(const std::string& id) {
    Report(id, wpb::RANK_RUNNING);
    wpb::RankRecord prepared;
    prepared.set_sequence(1);
    prepared.mutable_prepared()->set_cache_path("/cache");
    Records(id, {prepared, Result(2, wpb::ResultRecord::SUCCEEDED)});
    Report(id, wpb::RANK_EXITED);
    Do(SchedulePass{});
  }

  void Checkpoint(const std::string& id, int64_t step) {
    CheckpointWritten event{"a", Ref(id), {}};
    event.checkpoint.set_step(step);
    event.checkpoint.set_path("checkpoints/e" + std::to_string(Job(id).epoch()) + "-s" +
                              std::to_string(step));
    event.checkpoint.set_manifest_sha256("manifest of " + std::to_string(step));
    EXPECT_TRUE(Do(event).reply.status.ok());
  }

  const pb::Job& Job(const std::string& id) { return state_.jobs.Find(id)->job(); }
  const spb::StoredAttempt& Attempt(const std::string& id) {
    return *CurrentAttempt(state_, *state_.jobs.Find(id));
  }
  ClusterState& state() { return state_; }
  absl::Time now() const { return now_; }
  void Wait(absl::Duration duration) { now_ += duration; }
  const std::vector<wpb::RegisterWorkerResponse::Verdict>& verdicts() const { return verdicts_; }

 private:
  // Every change of a job's state is an edge of the graph.
  void CheckEdge(const spb::StoredJob& job) {
    const JobPtr before = state_.jobs.Find(job.job_id());
    if (before == nullptr || before->job().state() == job.job().state()) return;
    // One event may take two edges (a rank ends, its gang is restarted); terminal states never change.
    EXPECT_FALSE(IsTerminal(before->job().state()));
  }

  ClusterState state_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  std::vector<wpb::RegisterWorkerResponse::Verdict> verdicts_;
};

}  // namespace ft::state
