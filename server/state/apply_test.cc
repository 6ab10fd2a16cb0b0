#include "server/state/apply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "core/rpc/errors.h"
#include "server/state/capacity.h"
#include "server/state/cluster_fixture.h"
#include "server/state/device_faults.h"
#include "server/state/transaction.h"

namespace ft::state {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Apply, FromSubmitToSuccess) {
  Cluster cluster;
  cluster.Create("j");
  EXPECT_EQ(cluster.Job("j").state(), pb::PREPARING);
  EXPECT_EQ(cluster.Attempt("j").kind(), wpb::PREPARE);
  cluster.FinishPrepare("j");
  EXPECT_EQ(cluster.Job("j").state(), pb::STARTING);
  EXPECT_EQ(cluster.Job("j").epoch(), 2);
  EXPECT_EQ(CoresAllocated(cluster.state(), "a"), 2);
  cluster.Report("j", wpb::RANK_RUNNING);
  EXPECT_EQ(cluster.Job("j").state(), pb::RUNNING);
  cluster.Records("j", {cluster.Result(1, wpb::ResultRecord::SUCCEEDED)});
  cluster.Report("j", wpb::RANK_EXITED);
  EXPECT_EQ(cluster.Job("j").state(), pb::SUCCEEDED);
  EXPECT_EQ(CoresAllocated(cluster.state(), "a"), 0);
}

// Of all attempts' ranks, and of nobody once the job has ended.
TEST(Apply, HubTokensGoToTheJobsRanksUntilItHasEnded) {
  Cluster cluster;
  CreateJob event;
  event.row.set_job_id("j");
  event.row.set_namespace_id("default");
  event.row.set_ranks(1);
  event.row.set_threads(1);
  event.row.set_device("cpu");
  event.row.mutable_hub_tokens()->set_huggingface("hf_secret");
  cluster.Do(event);
  cluster.Do(SchedulePass{});
  const auto token_of_start = [&] {
    const JobPtr job = cluster.state().jobs.Find("j");
    const AttemptPtr attempt = CurrentAttempt(cluster.state(), *job);
    return StartCommand(cluster.state(), *job, *attempt, "a").start_ranks().hub_tokens().huggingface();
  };
  EXPECT_EQ(token_of_start(), "hf_secret");
  cluster.FinishPrepare("j");
  EXPECT_EQ(token_of_start(), "hf_secret");
  wpb::RankRecord beat;
  beat.set_sequence(1);
  beat.mutable_beat()->set_phase("download");
  beat.mutable_beat()->set_bytes(3);
  beat.mutable_beat()->set_total_bytes(7);
  cluster.Report("j", wpb::RANK_RUNNING);
  cluster.Records("j", {beat});
  EXPECT_EQ(cluster.Job("j").progress().phase_bytes(), 3);
  EXPECT_EQ(cluster.Job("j").progress().phase_total_bytes(), 7);
  cluster.Records("j", {cluster.Result(2, wpb::ResultRecord::SUCCEEDED)});
  cluster.Report("j", wpb::RANK_EXITED);
  EXPECT_EQ(cluster.Job("j").state(), pb::SUCCEEDED);
  EXPECT_FALSE(cluster.state().jobs.Find("j")->has_hub_tokens());
}

TEST(Apply, SameRequestIdAnswersTheSameJob) {
  Cluster cluster;
  CreateJob event;
  event.caller = {"user:x", "CreateJob", "r1", "digest"};
  event.row.set_job_id("j1");
  event.row.set_namespace_id("default");
  EXPECT_EQ(cluster.Do(event).reply.job_id, "j1");
  event.row.set_job_id("j2");
  EXPECT_EQ(cluster.Do(event).reply.job_id, "j1");
  EXPECT_EQ(cluster.state().jobs.size(), 1u);
  event.caller.request_sha256 = "other";
  EXPECT_EQ(rpc::ReasonOf(cluster.Do(event).reply.status), pb::REQUEST_ID_REUSED);
}

TEST(Apply, RevisionsGrowByOnePerEvent) {
  Cluster cluster;
  const int64_t before = cluster.state().revision;
  CreateJob event;
  event.row.set_job_id("j");
  const Transition transition = cluster.Do(event);
  ASSERT_EQ(transition.changes.events.size(), 2u);
  EXPECT_EQ(transition.changes.events[0].revision(), before + 1);
  EXPECT_EQ(transition.changes.events[1].revision(), before + 2);
  EXPECT_EQ(transition.changes.revision, before + 2);
}

TEST(Apply, WritesOfAnOlderEpochAreRefused) {
  Cluster cluster;
  cluster.Create("j");
  const wpb::RankRef old = cluster.Ref("j");
  cluster.FinishPrepare("j");
  for (const Event& event :
       std::vector<Event>{RecordsArrived{"a", old, {}}, CheckpointWritten{"a", old, {}}}) {
    EXPECT_EQ(rpc::ReasonOf(cluster.Do(event).reply.status), pb::STALE_EPOCH);
  }
  RankReport report{"a", {}};
  *report.report.mutable_ref() = old;
  EXPECT_EQ(rpc::ReasonOf(cluster.Do(report).reply.status), pb::STALE_EPOCH);
  EXPECT_EQ(rpc::ReasonOf(CheckFence(cluster.state(), "b", cluster.Ref("j"))), pb::STALE_EPOCH);
  EXPECT_TRUE(CheckFence(cluster.state(), "a", cluster.Ref("j")).ok());
}

TEST(Apply, OneDeadRankStopsTheGangAndRestartsItOnce) {
  Cluster cluster;
  cluster.Create("j", /*ranks=*/3, /*threads=*/1);
  cluster.FinishPrepare("j");
  for (int rank = 0; rank < 3; ++rank) cluster.Report("j", wpb::RANK_RUNNING, rank);
  cluster.Checkpoint("j", 40);
  cluster.Report("j", wpb::RANK_EXITED, 1, SIGKILL);
  EXPECT_EQ(cluster.Job("j").state(), pb::RECOVERING);
  EXPECT_EQ(cluster.Attempt("j").state(), spb::StoredAttempt::STOPPING);
  cluster.Report("j", wpb::RANK_EXITED, 0, SIGTERM);
  cluster.Report("j", wpb::RANK_EXITED, 2, SIGTERM);
  EXPECT_EQ(cluster.Job("j").failure().rank(), 1);
  EXPECT_EQ(cluster.state().jobs.Find("j")->failures().at("UNKNOWN_EXIT"), 1);  // Once for the gang.
  cluster.Do(SchedulePass{});
  EXPECT_EQ(cluster.Job("j").state(), pb::STARTING);
  EXPECT_EQ(cluster.Job("j").epoch(), 3);
  EXPECT_EQ(cluster.Attempt("j").resume_step(), 40);
  EXPECT_EQ(cluster.Attempt("j").resume_path(), "checkpoints/e2-s40");
}

TEST(Apply, UnknownExitsInARowUseUpTheBudgetAndCheckpointsRefillIt) {
  Cluster cluster;
  cluster.Create("j");
  cluster.FinishPrepare("j");
  for (int i = 0; i < 5; ++i) {
    cluster.Report("j", wpb::RANK_EXITED, 0, SIGKILL);
    EXPECT_EQ(cluster.Job("j").state(), pb::RECOVERING) << i;
    cluster.Do(SchedulePass{});
  }
  cluster.Checkpoint("j", 10);
  cluster.Report("j", wpb::RANK_EXITED, 0, SIGKILL);
  for (int i = 0; i < 4; ++i) {
    cluster.Do(SchedulePass{});
    cluster.Report("j", wpb::RANK_EXITED, 0, SIGKILL);
    EXPECT_EQ(cluster.Job("j").state(), pb::RECOVERING) << i;
  }
  cluster.Do(SchedulePass{});
  cluster.Report("j", wpb::RANK_EXITED, 0, SIGKILL);
  EXPECT_EQ(cluster.Job("j").state(), pb::FAILED);
}

TEST(Apply, ConfigErrorsFailAtOnceAndNetworkErrorsAreRetried) {
  Cluster cluster;
  for (const auto& [failure_class, state] : {std::pair{"CONFIG", pb::FAILED},
                                             {"DATA", pb::RECOVERING},
                                             {"NAN_LOSS", pb::FAILED},
                                             {"NETWORK", pb::RECOVERING}}) {
    const std::string id = std::string("j-") + failure_class;
    cluster.Create(id);
    cluster.FinishPrepare(id);
    cluster.Records(id, {cluster.Result(1, wpb::ResultRecord::FAILED, failure_class)});
    cluster.Report(id, wpb::RANK_EXITED, 0, 1 << 8);
    EXPECT_EQ(cluster.Job(id).state(), state) << failure_class;
    EXPECT_EQ(cluster.Job(id).failure().message(), "said so");
  }
}

TEST(Apply, CancelIsFinalWhateverTheRankSaysAfterwards) {
  Cluster cluster;
  cluster.Create("j");
  cluster.FinishPrepare("j");
  cluster.Report("j", wpb::RANK_RUNNING);
  CancelJob cancel{{}, "j", "enough"};
  const Transition transition = cluster.Do(cancel);
  EXPECT_EQ(cluster.Job("j").state(), pb::CANCELLING);
  ASSERT_EQ(transition.commands.size(), 1u);
  EXPECT_TRUE(transition.commands[0].command.has_stop_ranks());
  cluster.Records("j", {cluster.Result(1, wpb::ResultRecord::SUCCEEDED)});
  cluster.Report("j", wpb::RANK_EXITED);
  EXPECT_EQ(cluster.Job("j").state(), pb::CANCELLED);
  const int64_t epoch = cluster.Job("j").epoch();
  cluster.Do(SchedulePass{});
  EXPECT_TRUE(cluster.Do(cancel).reply.status.ok());
  EXPECT_EQ(cluster.Job("j").epoch(), epoch);
}

TEST(Apply, StopOfAnAttemptThatNeverStartedEndsIt) {
  Cluster cluster;
  cluster.Create("j");
  cluster.Do(CancelJob{{}, "j", ""});
  EXPECT_EQ(cluster.Job("j").state(), pb::CANCELLING);
  cluster.Do(StopFoundNothing{"a", "j", 1});
  EXPECT_EQ(cluster.Job("j").state(), pb::CANCELLED);
}

// The worker died while it started a gang: of two ranks it had begun one.
TEST(Apply, StopOfAGangThatStartedInPartEndsIt) {
  Cluster cluster;
  cluster.Create("j", /*ranks=*/2);
  cluster.FinishPrepare("j");
  cluster.Do(CancelJob{{}, "j", ""});
  wpb::RankInventory begun;
  *begun.mutable_ref() = cluster.Ref("j", 0);
  begun.set_state(wpb::RANK_EXITED);
  cluster.Node("a", 8, "i2", {begun});
  EXPECT_EQ(cluster.Job("j").state(), pb::CANCELLING);
  cluster.Report("j", wpb::RANK_EXITED, 0);
  EXPECT_EQ(cluster.Job("j").state(), pb::CANCELLED);
}

TEST(Apply, AdoptsByInventoryAndEndsWhatIsMissing) {
  Cluster cluster;
  cluster.Create("kept");
  cluster.FinishPrepare("kept");
  cluster.Report("kept", wpb::RANK_RUNNING);
  cluster.Create("lost");
  cluster.FinishPrepare("lost");
  cluster.Report("lost", wpb::RANK_RUNNING);
  wpb::RankInventory kept, old;
  *kept.mutable_ref() = cluster.Ref("kept");
  kept.set_state(wpb::RANK_RUNNING);
  old = kept;
  old.mutable_ref()->set_epoch(1);
  cluster.Node("a", 8, "i2", {kept, old});
  using Verdict = wpb::RegisterWorkerResponse::Verdict;
  ASSERT_EQ(cluster.verdicts().size(), 2u);
  EXPECT_EQ(cluster.verdicts()[0].action(), Verdict::ADOPT);
  EXPECT_EQ(cluster.verdicts()[1].action(), Verdict::KILL);
  EXPECT_EQ(cluster.Job("kept").state(), pb::RUNNING);
  EXPECT_EQ(cluster.Job("lost").state(), pb::RECOVERING);
  EXPECT_EQ(cluster.Job("lost").failure().failure_class(), pb::NODE_LOST);
}

TEST(Apply, SilentNodeTakesNoNewWorkAndLosesNothing) {
  Cluster cluster;
  cluster.Create("j");
  cluster.FinishPrepare("j");
  cluster.Report("j", wpb::RANK_RUNNING);
  cluster.Do(NodeContactLost{"a"});
  EXPECT_TRUE(cluster.Job("j").contact_lost());
  EXPECT_EQ(cluster.Job("j").state(), pb::RUNNING);
  cluster.Create("k");
  EXPECT_EQ(cluster.Job("k").epoch(), 0);
  cluster.Do(NodeContactRegained{"a"});
  cluster.Do(SchedulePass{});
  EXPECT_FALSE(cluster.Job("j").contact_lost());
  EXPECT_EQ(cluster.Job("k").epoch(), 1);
}

TEST(Apply, CancelledJobDoesNotWaitForASilentNodeForEver) {
  Cluster cluster;
  cluster.Create("j");
  cluster.Create("running");
  cluster.FinishPrepare("j");
  cluster.Report("j", wpb::RANK_RUNNING);
  cluster.Do(NodeContactLost{"a"});
  cluster.Do(CancelJob{{}, "j", ""});
  EXPECT_EQ(cluster.Job("j").state(), pb::CANCELLING);
  wpb::RankInventory rank;
  *rank.mutable_ref() = cluster.Ref("j");
  rank.set_state(wpb::RANK_RUNNING);
  cluster.Do(AttemptDead{"j", 2, {"a"}, "node a is out of contact"});
  EXPECT_EQ(cluster.Job("j").state(), pb::CANCELLED);
  EXPECT_EQ(cluster.Job("running").state(), pb::PREPARING);
  cluster.Node("a", 8, "i1", {rank});
  EXPECT_EQ(cluster.verdicts().at(0).action(), wpb::RegisterWorkerResponse::Verdict::KILL);
}

TEST(Apply, QueuedJobIsPreparedElsewhereWhenItsNodeStaysAway) {
  Cluster cluster(/*cores=*/2);
  cluster.Create("first");
  cluster.FinishPrepare("first");
  cluster.Create("queued");
  cluster.FinishPrepare("queued");
  EXPECT_EQ(cluster.Job("queued").state(), pb::QUEUED);
  cluster.Do(NodeContactLost{"a"});
  cluster.Node("b", 2);
  cluster.Do(SchedulePass{});
  EXPECT_EQ(cluster.Job("queued").state(), pb::QUEUED);
  cluster.Do(NodeUnreachable{"a"});
  cluster.Do(SchedulePass{});
  EXPECT_EQ(cluster.Job("queued").state(), pb::PREPARING);
  EXPECT_EQ(cluster.Attempt("queued").ranks(0).node_id(), "b");
  EXPECT_EQ(cluster.Job("first").state(),
            pb::STARTING);  // It has a rank there: nothing is done without evidence.
}

TEST(Apply, VerdictDeadEndsTheAttemptOnceAndSparesANodeThatCameBack) {
  Cluster cluster(/*cores=*/1);
  cluster.Node("b", 1);
  cluster.ShareFolder();
  cluster.Create("j", /*ranks=*/2, /*threads=*/1);
  cluster.FinishPrepare("j");
  ASSERT_EQ(cluster.Attempt("j").ranks(1).node_id(), "b");
  cluster.Report("j", wpb::RANK_RUNNING, 0);
  cluster.Report("j", wpb::RANK_RUNNING, 1, 0, "b");
  const AttemptDead dead{"j", 2, {"b"}, "node b is out of contact for 30s"};
  cluster.Do(dead);
  EXPECT_EQ(cluster.Job("j").state(), pb::RUNNING);  // The node is in contact: it speaks for itself.
  cluster.Do(NodeContactLost{"b"});
  cluster.Do(dead);
  EXPECT_EQ(cluster.Job("j").state(), pb::RECOVERING);
  EXPECT_EQ(cluster.Attempt("j").state(),
            spb::StoredAttempt::STOPPING);  // Rank 0 is told to stop, and waited for.
  cluster.Do(dead);
  cluster.Report("j", wpb::RANK_EXITED, 0, SIGTERM);
  EXPECT_EQ(cluster.Job("j").failure().failure_class(), pb::NODE_LOST);
  EXPECT_EQ(cluster.state().jobs.Find("j")->failures().at("NODE_LOST"), 1);
  cluster.Do(SchedulePass{});
  EXPECT_EQ(cluster.Job("j").state(), pb::RECOVERING);  // Node b is away, and both ranks need a core.
  wpb::RankInventory rank;
  *rank.mutable_ref() = cluster.Ref("j", 1);
  rank.set_state(wpb::RANK_RUNNING);
  cluster.Node("b", 1, "i1", {rank});
  EXPECT_EQ(cluster.verdicts().at(0).action(), wpb::RegisterWorkerResponse::Verdict::KILL);
}

TEST(Apply, AnElasticJobThatLosesANodeGoesOnWithTheRanksThatAreLeft) {
  Cluster cluster(/*cores=*/1);
  cluster.Node("b", 1);
  cluster.ShareFolder();
  CreateJob event;
  event.row.set_job_id("j");
  event.row.set_namespace_id("default");
  event.row.set_ranks(1);
  event.row.set_min_ranks(1);
  event.row.set_max_ranks(4);
  event.row.set_threads(1);
  event.row.set_device("cpu");
  event.row.set_keep_last(2);
  event.row.mutable_job()->set_display_name("j");
  cluster.Do(event);
  cluster.Do(SchedulePass{});
  cluster.FinishPrepare("j");
  ASSERT_EQ(cluster.Attempt("j").ranks_size(), 2);  // The most that there is room for.
  cluster.Report("j", wpb::RANK_RUNNING, 0);
  cluster.Report("j", wpb::RANK_RUNNING, 1, 0, "b");
  cluster.Checkpoint("j", 40);
  cluster.Do(NodeContactLost{"b"});
  cluster.Do(AttemptDead{"j", 2, {"b"}, "node b is out of contact for 30s"});
  cluster.Report("j", wpb::RANK_EXITED, 0, SIGTERM);
  cluster.Do(SchedulePass{});
  EXPECT_EQ(cluster.Job("j").state(), pb::STARTING);
  ASSERT_EQ(cluster.Attempt("j").ranks_size(), 1);
  EXPECT_EQ(cluster.Attempt("j").ranks(0).node_id(), "a");
  EXPECT_EQ(cluster.Attempt("j").resume_step(), 40);
}

TEST(Apply, AddressOfRankZeroIsPassedToEveryNodeAndRepeatedToNewStreams) {
  Cluster cluster(/*cores=*/1);
  cluster.Node("b", 1);
  cluster.ShareFolder();
  cluster.Create("j", /*ranks=*/2, /*threads=*/1);
  cluster.FinishPrepare("j");
  const auto start = OutstandingCommands(cluster.state(), "b").at(0).command.start_ranks();
  EXPECT_EQ(start.rendezvous().store(), "tcp");
  EXPECT_EQ(start.rendezvous().host(), "10.0.0.1");
  EXPECT_EQ(start.world_size(), 2);
  EXPECT_EQ(start.ranks_on_node(0), 1);
  EXPECT_GT(start.job_created(), 0);
  EXPECT_EQ(start.job_created(), cluster.Job("j").create_time().seconds());
  wpb::RankRecord record;
  record.set_sequence(1);
  record.mutable_rendezvous()->set_address("10.0.0.1:4000");
  const Transition told = cluster.Do(RecordsArrived{"a", cluster.Ref("j"), {record}});
  ASSERT_EQ(told.commands.size(), 2u);
  EXPECT_EQ(told.commands[1].node_id, "b");
  EXPECT_EQ(told.commands[1].command.set_rendezvous().address(), "10.0.0.1:4000");
  EXPECT_EQ(OutstandingCommands(cluster.state(), "b").size(), 2u);
}

TEST(Apply, ResultOfRankZeroEndsTheJobWhateverAPeerDiesOfAfterwards) {
  Cluster cluster;
  cluster.Create("j", /*ranks=*/2, /*threads=*/1);
  cluster.FinishPrepare("j");
  for (int rank = 0; rank < 2; ++rank) cluster.Report("j", wpb::RANK_RUNNING, rank);
  cluster.Records("j", {cluster.Result(1, wpb::ResultRecord::SUCCEEDED)}, 0);
  cluster.Report("j", wpb::RANK_EXITED, 1, SIGKILL);
  EXPECT_EQ(cluster.Job("j").state(), pb::RUNNING);  // The adapter of rank 0 is on its way.
  cluster.Report("j", wpb::RANK_EXITED, 0);
  EXPECT_EQ(cluster.Job("j").state(), pb::SUCCEEDED);
}

TEST(Apply, PeersOfAFinishedRankZeroAreStopped) {
  Cluster cluster;
  cluster.Create("j", /*ranks=*/2, /*threads=*/1);
  cluster.FinishPrepare("j");
  for (int rank = 0; rank < 2; ++rank) cluster.Report("j", wpb::RANK_RUNNING, rank);
  cluster.Records("j", {cluster.Result(1, wpb::ResultRecord::SUCCEEDED)}, 0);
  cluster.Report("j", wpb::RANK_EXITED, 0);
  EXPECT_EQ(cluster.Attempt("j").state(), spb::StoredAttempt::STOPPING);
  EXPECT_EQ(cluster.Job("j").state(), pb::RUNNING);
  cluster.Report("j", wpb::RANK_EXITED, 1, SIGTERM);
  EXPECT_EQ(cluster.Job("j").state(), pb::SUCCEEDED);
}

TEST(Apply, TheCauseIsBlamedNotThePeerThatComplainsOfIt) {
  Cluster cluster;
  cluster.Create("j", /*ranks=*/2, /*threads=*/1);
  cluster.FinishPrepare("j");
  for (int rank = 0; rank < 2; ++rank) cluster.Report("j", wpb::RANK_RUNNING, rank);
  cluster.Records("j", {cluster.Result(1, wpb::ResultRecord::FAILED, "NETWORK")}, 0);
  cluster.Report("j", wpb::RANK_EXITED, 0, 1 << 8);
  RankReport last{"a", {}};
  *last.report.mutable_ref() = cluster.Ref("j", 1);
  last.report.set_state(wpb::RANK_EXITED);
  last.report.set_wait_status(SIGSEGV);
  const Transition ended = cluster.Do(last);
  EXPECT_EQ(cluster.Job("j").failure().failure_class(), pb::UNKNOWN_EXIT);
  EXPECT_EQ(cluster.Job("j").failure().rank(), 1);
  // Events too, of which the one that the gang stops had the complaint.
  EXPECT_EQ(ended.changes.events.at(0).type(), "ATTEMPT_ENDED");
  EXPECT_EQ(ended.changes.events.at(0).message(), StrCat("failed: ", cluster.Job("j").failure().message()));
}

TEST(Apply, TroubleWithCheckpointsWaitsLongerEachTime) {
  Cluster cluster;
  cluster.Create("j");
  cluster.FinishPrepare("j");
  for (int i = 0; i < 5; ++i) {
    cluster.Records("j", {cluster.Result(1, wpb::ResultRecord::FAILED, "CHECKPOINT_IO")});
    cluster.Report("j", wpb::RANK_EXITED, 0, 1 << 8);
    ASSERT_EQ(cluster.Job("j").state(), pb::RECOVERING) << i;
    const int64_t epoch = cluster.Job("j").epoch();
    // Each event takes a second; the wait is 1, 2, 4, 8, 16.
    for (int second = 1; second < (1 << i); ++second) cluster.Do(SchedulePass{});
    EXPECT_EQ(cluster.Job("j").epoch(), epoch) << i;
    cluster.Do(SchedulePass{});
    EXPECT_EQ(cluster.Job("j").epoch(), epoch + 1) << i;
  }
  cluster.Records("j", {cluster.Result(1, wpb::ResultRecord::FAILED, "CHECKPOINT_IO")});
  cluster.Report("j", wpb::RANK_EXITED, 0, 1 << 8);
  EXPECT_EQ(cluster.Job("j").state(), pb::FAILED);
}

// The uuid that the job's only rank was given; empty while it waits.
std::string DeviceOfJob(Cluster& cluster, const std::string& id) {
  const spb::StoredAttempt& attempt = cluster.Attempt(id);
  return attempt.state() == spb::StoredAttempt::ENDED ? "" : attempt.ranks(0).device_uuids(0);
}

void MeetADeviceFault(Cluster& cluster, const std::string& id) {
  cluster.Records(id, {cluster.Result(1, wpb::ResultRecord::FAILED, "DEVICE_FAULT")});
  cluster.Report(id, wpb::RANK_EXITED, 0, 1 << 8);
  cluster.Do(SchedulePass{});
}

// One fault may be the program's own, two in a row are the card's.
TEST(Apply, ADeviceThatFailsTwiceInARowTakesNoJobForAnHour) {
  Cluster cluster(0);
  cluster.GpuNode("a", {"G1", "G2"});
  cluster.Create("j", 1, 2, "gpu");
  cluster.FinishPrepare("j");
  ASSERT_EQ(DeviceOfJob(cluster, "j"), "G1");
  MeetADeviceFault(cluster, "j");
  ASSERT_EQ(DeviceOfJob(cluster, "j"), "G1");
  MeetADeviceFault(cluster, "j");
  EXPECT_EQ(DeviceOfJob(cluster, "j"), "G2");
  const pb::Device first = cluster.state().nodes.Find("a")->devices(1);
  EXPECT_THAT(ProblemOf(*cluster.state().nodes.Find("a"), first, cluster.now()),
              HasSubstr("min: 2 attempts in a row ended with a fault of it; ftctl uncordon a ends that"));
  MeetADeviceFault(cluster, "j");
  EXPECT_EQ(DeviceOfJob(cluster, "j"), "G2");
  MeetADeviceFault(cluster, "j");
  EXPECT_EQ(DeviceOfJob(cluster, "j"), "");
  EXPECT_EQ(WhyWaits(cluster.state(), "j", cluster.now())->why, schedule::Why::kBusy);
  EXPECT_THAT(WhyWaits(cluster.state(), "j", cluster.now())->details,
              ElementsAre(HasSubstr("0 GPU(s) free, 2 GPU(s) take no job (ftctl nodes says why)")));
  EXPECT_FALSE(HasEndedWait(cluster.state(), cluster.now()));
  cluster.Wait(kExclusion);
  EXPECT_TRUE(HasEndedWait(cluster.state(), cluster.now()));
  cluster.Do(SchedulePass{});
  EXPECT_FALSE(HasEndedWait(cluster.state(), cluster.now()));
  ASSERT_EQ(DeviceOfJob(cluster, "j"), "G1");
  MeetADeviceFault(cluster, "j");
  EXPECT_EQ(DeviceOfJob(cluster, "j"), "G2") << "one more excludes it again";
}

TEST(Apply, ADeviceThatIsExcludedComesBackByUncordonAndByABootOfItsMachine) {
  for (const bool boots : {false, true}) {
    Cluster cluster(0);
    cluster.GpuNode("a", {"G1"});
    cluster.Create("j", 1, 2, "gpu");
    cluster.FinishPrepare("j");
    MeetADeviceFault(cluster, "j");
    MeetADeviceFault(cluster, "j");
    ASSERT_EQ(DeviceOfJob(cluster, "j"), "");
    if (boots) {
      cluster.GpuNode("a", {"G1"}, "b2");
    } else {
      cluster.Do(ChangeNode{.node_id = "a", .what = ChangeNode::What::kUncordon});
    }
    cluster.Do(SchedulePass{});
    EXPECT_EQ(DeviceOfJob(cluster, "j"), "G1");
  }
}

TEST(Apply, ADeviceWithAProblemTakesNoJob) {
  Cluster cluster(0);
  RegisterNode event;
  event.request.set_node_id("a");
  event.request.add_devices()->set_kind("cpu");
  event.request.mutable_devices(0)->set_cores(8);
  auto* gpu = event.request.add_devices();
  gpu->set_kind("gpu");
  gpu->set_uuid("G1");
  gpu->set_arch("6.1");
  gpu->set_problem("is too old");
  cluster.Do(event);
  cluster.Create("j", 1, 2, "gpu");
  cluster.FinishPrepare("j");
  EXPECT_EQ(WhyWaits(cluster.state(), "j", cluster.now())->why, schedule::Why::kTooLarge);
  // A job that leaves the device open trains on the CPU.
  cluster.Create("k", 1, 2, "auto");
  cluster.FinishPrepare("k");
  EXPECT_EQ(cluster.Attempt("k").kind(), wpb::TRAIN);
  EXPECT_EQ(cluster.Attempt("k").ranks(0).device_uuids_size(), 0);
}

TEST(Apply, EvidenceOfTheAgentNamesTheClass) {
  Cluster cluster;
  cluster.Create("j");
  cluster.FinishPrepare("j");
  for (int i = 0; i < 4; ++i) {
    RankReport event{"a", {}};
    *event.report.mutable_ref() = cluster.Ref("j");
    event.report.set_state(wpb::RANK_EXITED);
    event.report.set_wait_status(SIGKILL);
    event.report.set_failure_class("HANG");
    event.report.set_message("rank 0 hangs");
    cluster.Do(event);
    EXPECT_EQ(cluster.Job("j").failure().failure_class(), pb::HANG);
    EXPECT_EQ(cluster.Job("j").state(), i < 3 ? pb::RECOVERING : pb::FAILED) << i;
    cluster.Do(SchedulePass{});
  }
}

TEST(Apply, RestartedWorkerDoesNotUseUpTheBudget) {
  Cluster cluster;
  cluster.Create("j");
  cluster.FinishPrepare("j");
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(cluster.Job("j").state(), pb::STARTING) << i;
    cluster.Report("j", wpb::RANK_RUNNING);
    wpb::RankInventory rank;
    *rank.mutable_ref() = cluster.Ref("j");
    rank.set_state(wpb::RANK_EXITED);
    cluster.Node("a", 8, "i" + std::to_string(i + 10), {rank});
    cluster.Report("j", wpb::RANK_EXITED, 0, SIGKILL);
    ASSERT_EQ(cluster.Job("j").state(), pb::RECOVERING) << i;
    EXPECT_EQ(cluster.Job("j").failure().failure_class(), pb::NODE_LOST);
    for (int second = 0; second < 300; ++second) cluster.Do(SchedulePass{});  // It waits longer each time.
  }
}

TEST(Apply, RankThatCannotBeStartedFailsTheJobAfterItsBudget) {
  Cluster cluster;
  cluster.Create("j");
  for (int i = 0; i < 6; ++i) {
    RankReport event{"a", {}};
    *event.report.mutable_ref() = cluster.Ref("j");
    event.report.set_state(wpb::RANK_NOT_STARTED);
    event.report.set_message("cannot start ft-rank: No such file or directory");
    cluster.Do(event);
    cluster.Do(SchedulePass{});
  }
  EXPECT_EQ(cluster.Job("j").state(), pb::FAILED);
  EXPECT_EQ(cluster.Job("j").state_message(), "cannot start ft-rank: No such file or directory");
}

TEST(Apply, RecordsCountOnceAndInOrder) {
  Cluster cluster;
  cluster.Create("j");
  cluster.FinishPrepare("j");
  const auto step = [](uint64_t sequence, int64_t number) {
    wpb::RankRecord record;
    record.set_sequence(sequence);
    record.mutable_step()->set_step(number);
    return record;
  };
  EXPECT_EQ(cluster.Records("j", {step(1, 1), step(2, 2)}).acked_sequence, 2u);
  EXPECT_EQ(cluster.Records("j", {step(1, 1), step(2, 2), step(3, 3)}).acked_sequence, 3u);
  EXPECT_EQ(cluster.Records("j", {step(5, 5)}).acked_sequence, 3u);  // A gap: the sender goes back.
  EXPECT_EQ(cluster.Job("j").progress().step(), 3);
}

TEST(Apply, PauseChecksPointsAndResumeQueuesAgain) {
  Cluster cluster;
  cluster.Create("j");
  cluster.FinishPrepare("j");
  cluster.Report("j", wpb::RANK_RUNNING);
  const Transition paused = cluster.Do(PauseJob{{}, "j"});
  EXPECT_TRUE(paused.commands.at(0).command.stop_ranks().checkpoint());
  cluster.Checkpoint("j", 7);
  cluster.Records("j", {cluster.Result(1, wpb::ResultRecord::STOPPED)});
  cluster.Report("j", wpb::RANK_EXITED);
  EXPECT_EQ(cluster.Job("j").state(), pb::PAUSED);
  cluster.Do(ResumeJob{{}, "j"});
  cluster.Do(SchedulePass{});
  EXPECT_EQ(cluster.Job("j").state(), pb::STARTING);
  EXPECT_EQ(cluster.Attempt("j").resume_step(), 7);
}

TEST(Apply, DeleteWantsAnEndedJobAndRemovesEveryRow) {
  Cluster cluster;
  cluster.Create("j");
  EXPECT_EQ(rpc::ReasonOf(cluster.Do(DeleteJob{{}, "j"}).reply.status), pb::JOB_NOT_TERMINAL);
  cluster.Do(CancelJob{{}, "j", ""});
  cluster.Do(StopFoundNothing{"a", "j", 1});
  EXPECT_TRUE(cluster.Do(DeleteJob{{}, "j"}).reply.status.ok());
  EXPECT_EQ(cluster.state().jobs.size(), 0u);
  EXPECT_EQ(cluster.state().attempts.size(), 0u);
  EXPECT_EQ(rpc::ReasonOf(cluster.Do(DeleteJob{{}, "j"}).reply.status), pb::JOB_NOT_FOUND);
}

TEST(Apply, NewestJobOfADisplayNameWins) {
  Cluster cluster;
  cluster.Create("j1");
  cluster.Create("j2");
  ClusterState& state = cluster.state();
  for (const char* id : {"j1", "j2"}) {
    auto row = std::make_shared<spb::StoredJob>(*state.jobs.Find(id));
    row->mutable_job()->set_display_name("same");
    state.jobs.Set(id, row);
  }
  EXPECT_EQ(FindJob(state, "same")->job_id(), "j2");
  EXPECT_EQ(FindJob(state, "namespaces/default/jobs/j1")->job_id(), "j1");
  EXPECT_EQ(FindJob(state, "namespaces/other/jobs/j1"), nullptr);
}

}  // namespace
}  // namespace ft::state
