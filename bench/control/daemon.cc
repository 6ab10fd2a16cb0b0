#include "bench/control/daemon.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "core/base/str_cat.h"

extern char** environ;

namespace ft::bench {
namespace {

constexpr char kNode[] = "bench";
constexpr int kStartSeconds = 20;

std::shared_ptr<grpc::Channel> Open(const std::filesystem::path& socket) {
  return grpc::CreateChannel("unix:" + socket.string(), grpc::InsecureChannelCredentials());
}

}  // namespace

std::unique_ptr<grpc::ClientContext> Deadline(int seconds) {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_wait_for_ready(true);
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(seconds));
  return context;
}

void Must(const grpc::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "control_bench: %s\n", status.error_message().c_str());
  std::exit(1);
}

Daemon::Daemon(const std::string& finetuned) {
  const std::string config = (dir_ / "finetuned.yaml").string();
  std::ofstream(config) << "data: " << (dir_ / "data").string()
                        << "\nmetrics: \"0\"\nlease: 60s\nlog_level: error\n";
  std::vector<std::string> words = {finetuned, "--config", config};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  if (::posix_spawn(&pid_, argv[0], nullptr, nullptr, argv.data(), environ) != 0)
    Must({grpc::StatusCode::NOT_FOUND, StrCat("cannot start ", finetuned)});
  users_ = Open(dir_ / "data" / "finetuned.sock");
  workers_ = Open(dir_ / "data" / "worker.sock");
  worker_ = wpb::WorkerService::NewStub(workers_);
  pb::ListJobsResponse none;
  Must(pb::JobService::NewStub(users_)->ListJobs(Deadline(kStartSeconds).get(), {}, &none));
  Register();
}

Daemon::~Daemon() {
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

void Daemon::Register() {
  wpb::RegisterWorkerRequest request;
  request.set_node_id(kNode);
  request.set_incarnation("one");
  request.set_prepare_slots(100'000);
  auto& cpu = *request.add_devices();
  cpu.set_kind("cpu");
  cpu.set_cores(100'000);
  wpb::RegisterWorkerResponse response;
  Must(worker_->RegisterWorker(Deadline().get(), request, &response));
  session_ = response.session_id();
}

void Daemon::RenewLease() {
  wpb::RenewLeaseRequest request;
  request.set_session_id(session_);
  request.set_sequence(++renewals_);
  wpb::RenewLeaseResponse response;
  Must(worker_->RenewLease(Deadline().get(), request, &response));
}

wpb::RankRef Daemon::Ref(const std::string& job_id, int64_t epoch) const {
  wpb::RankRef ref;
  ref.set_job_id(job_id);
  ref.set_epoch(epoch);
  return ref;
}

void Daemon::Report(const std::string& job_id, int64_t epoch, wpb::RankState state) {
  wpb::ReportRankRequest request;
  request.set_session_id(session_);
  *request.mutable_ref() = Ref(job_id, epoch);
  request.set_state(state);
  wpb::ReportRankResponse response;
  Must(worker_->ReportRank(Deadline().get(), request, &response));
}

void Daemon::Prepare(const std::string& job_id) {
  Report(job_id, 1, wpb::RANK_RUNNING);
  wpb::PushRecordsRequest request;
  request.set_session_id(session_);
  *request.mutable_ref() = Ref(job_id, 1);
  wpb::RankRecord& prepared = *request.add_records();
  prepared.set_sequence(1);
  prepared.mutable_prepared()->set_cache_path("/cache");
  wpb::RankRecord& result = *request.add_records();
  result.set_sequence(2);
  result.mutable_result()->set_state(wpb::ResultRecord::SUCCEEDED);
  wpb::PushRecordsResponse response;
  Must(worker_->PushRecords(Deadline().get(), request, &response));
  Report(job_id, 1, wpb::RANK_EXITED);
}

std::vector<std::string> Daemon::RunJobs(int count) {
  auto jobs = pb::JobService::NewStub(users_);
  std::vector<std::string> ids;
  for (int i = 0; i < count; ++i) {
    pb::CreateJobRequest request;
    request.mutable_job()->set_config_yaml(
        StrCat("name: bench", i, "\nmodel: /model\ndata: /data.jsonl\nresources: {threads: 1}\n"));
    pb::Job job;
    Must(jobs->CreateJob(Deadline().get(), request, &job));
    ids.push_back(job.name().substr(job.name().rfind('/') + 1));
  }
  const auto wait_epoch = [&](const std::string& id, int64_t epoch) {
    for (int tries = 0; tries < 2000; ++tries) {
      pb::GetJobRequest request;
      request.set_name(id);
      pb::Job job;
      Must(jobs->GetJob(Deadline().get(), request, &job));
      if (job.epoch() >= epoch) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    Must({grpc::StatusCode::DEADLINE_EXCEEDED, StrCat("job ", id, " has no attempt ", epoch)});
  };
  for (const std::string& id : ids) {
    wait_epoch(id, 1);
    Prepare(id);
  }
  for (const std::string& id : ids) {
    wait_epoch(id, 2);
    Report(id, 2, wpb::RANK_RUNNING);
  }
  return ids;
}

wpb::PushRecordsRequest Daemon::Step(const std::string& job_id, int64_t sequence, int64_t step) const {
  wpb::PushRecordsRequest request;
  request.set_session_id(session_);
  *request.mutable_ref() = Ref(job_id, 2);
  wpb::RankRecord& record = *request.add_records();
  record.set_sequence(static_cast<uint64_t>(sequence));
  record.mutable_step()->set_step(step);
  record.mutable_step()->set_loss(2.5);
  record.mutable_step()->set_learning_rate(1e-4);
  record.mutable_step()->set_tokens(2048);
  record.mutable_step()->set_seconds(0.1);
  return request;
}

void Daemon::PushStep(const std::string& job_id, int64_t sequence, int64_t step) {
  wpb::PushRecordsResponse response;
  Must(worker_->PushRecords(Deadline().get(), Step(job_id, sequence, step), &response));
}

void Daemon::StartStep(const std::string& job_id, int64_t sequence, int64_t step,
                       std::function<void()> done) {
  struct Call {
    std::unique_ptr<grpc::ClientContext> context = Deadline();
    wpb::PushRecordsRequest request;
    wpb::PushRecordsResponse response;
  };
  auto call = std::make_shared<Call>();
  call->request = Step(job_id, sequence, step);
  worker_->async()->PushRecords(call->context.get(), &call->request, &call->response,
                                [call, sequence, done = std::move(done)](const grpc::Status& status) {
                                  Must(status);
                                  if (call->response.acked_sequence() != sequence)
                                    Must({grpc::StatusCode::DATA_LOSS, "a record was not acknowledged"});
                                  done();
                                });
}

double Daemon::CpuSeconds() const {
  std::ifstream file(StrCat("/proc/", pid_, "/stat"));
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double Daemon::WrittenBytes() const {
  std::ifstream file(StrCat("/proc/", pid_, "/io"));
  for (std::string key; file >> key;) {
    double value = 0;
    file >> value;
    if (key == "write_bytes:") return value;
  }
  return 0;
}

}  // namespace ft::bench
