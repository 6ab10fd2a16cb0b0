#include "tests/control/cluster.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

extern char** environ;

namespace ft::testing {
namespace {

using std::chrono::milliseconds;

pid_t Spawn(std::vector<std::string> argv, const std::filesystem::path& log) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  std::vector<char*> pointers;
  for (std::string& argument : argv) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  pid_t pid = 0;
  EXPECT_EQ(::posix_spawn(&pid, pointers[0], &actions, nullptr, pointers.data(), environ), 0) << argv[0];
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

int Finish(pid_t* pid, int signal) {
  if (*pid == 0) return -1;
  ::kill(*pid, signal);
  int status = 0;
  ::waitpid(*pid, &status, 0);
  *pid = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string CommandLine(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<pid_t> Children(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  std::vector<pid_t> children;
  for (pid_t child = 0; file >> child;) children.push_back(child);
  return children;
}

}  // namespace

Cluster::Cluster() {
  std::filesystem::create_directories(dir_ / "coordinator");
  std::ofstream(dir_ / "coordinator.yaml")
      << "data: " << (dir_ / "coordinator").string() << "\nmetrics: \"0\"\nlease: 600ms\n";
  std::ofstream(dir_ / "worker.yaml")
      << "data: " << (dir_ / "worker").string()
      << "\ncoordinator: unix:" << (dir_ / "coordinator/worker.sock").string()
      << "\nmetrics: \"0\"\nnode_id: node-a\ncores: 4\npoll: 5ms\nrank_binary: " << FT_FAKE_RANK
      << "\nnvml: none\n";
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  channel_ = grpc::CreateCustomChannel("unix:" + (dir_ / "coordinator/finetuned.sock").string(),
                                       grpc::InsecureChannelCredentials(), arguments);
  jobs_ = pb::JobService::NewStub(channel_);
}

Cluster::~Cluster() {
  if (::testing::Test::HasFailure()) {
    for (const char* name : {"coordinator.log", "worker.log"}) {
      std::ifstream file(dir_ / name);
      std::cerr << "--- " << name << "\n" << file.rdbuf() << "\n";
    }
  }
  KillWorker();
  KillCoordinator();
}

void Cluster::StartCoordinator() {
  coordinator_ = Spawn({FT_BIN_DIR "/finetuned", "--config", (dir_ / "coordinator.yaml").string()},
                       dir_ / "coordinator.log");
  // A connection to a killed predecessor fails once before the new one is tried.
  auto nodes = pb::NodeService::NewStub(channel_);
  EXPECT_TRUE(Eventually([&] {
    pb::ServerInfo info;
    return nodes->GetServerInfo(Context().get(), {}, &info).ok();
  }));
}

void Cluster::StartWorker() {
  worker_ =
      Spawn({FT_BIN_DIR "/ft-worker", "--config", (dir_ / "worker.yaml").string()}, dir_ / "worker.log");
}

void Cluster::KillCoordinator() { Finish(&coordinator_, SIGKILL); }
void Cluster::KillWorker() { Finish(&worker_, SIGKILL); }
int Cluster::StopCoordinator() { return Finish(&coordinator_, SIGTERM); }
int Cluster::StopWorker() { return Finish(&worker_, SIGTERM); }

pid_t Cluster::AgentPid() const {
  for (const pid_t child : Children(worker_)) {
    if (CommandLine(child).find("--agent") != std::string::npos) return child;
  }
  return 0;
}

std::vector<pid_t> Cluster::RankPids() const {
  std::vector<pid_t> ranks;
  for (const pid_t child : Children(worker_)) {
    if (CommandLine(child).find("--attempt") != std::string::npos) ranks.push_back(child);
  }
  return ranks;
}

grpc::Status Cluster::Create(const CreateOptions& options, pb::Job* job) {
  pb::CreateJobRequest request;
  request.set_request_id(options.request_id);
  std::stringstream yaml;
  yaml << "name: " << options.name << "\nmodel: " << dir_.path().string()
       << "\ndata: " << dir_.path().string()
       << "/data.jsonl\nmethod: {kind: lora}\ntrain:\n  checkpoint: {every_steps: " << options.every_steps
       << ", keep_last: " << options.keep_last << "}\nresources: {threads: " << options.threads << "}\n";
  if (!options.labels.empty()) yaml << "labels:\n" << options.labels;
  request.mutable_job()->set_config_yaml(yaml.str());
  return jobs_->CreateJob(Context().get(), request, job);
}

grpc::Status Cluster::Get(const std::string& name, pb::Job* job) {
  pb::GetJobRequest request;
  request.set_name(name);
  return jobs_->GetJob(Context().get(), request, job);
}

pb::Job Cluster::WaitFor(const std::string& name, const std::function<bool(const pb::Job&)>& when) {
  pb::Job job;
  const bool reached = Eventually([&] { return Get(name, &job).ok() && when(job); });
  EXPECT_TRUE(reached) << job.ShortDebugString();
  return job;
}

pb::Job Cluster::WaitForState(const std::string& name, pb::JobState state) {
  return WaitFor(name, [state](const pb::Job& job) { return job.state() == state; });
}

std::vector<pb::Event> Cluster::Events(const std::string& subject) {
  pb::ListEventsRequest request;
  request.set_subject(subject);
  request.set_page_size(1000);
  pb::ListEventsResponse response;
  EXPECT_TRUE(pb::EventService::NewStub(channel_)->ListEvents(Context().get(), request, &response).ok());
  return {response.events().begin(), response.events().end()};
}

std::vector<pb::MetricPoint> Cluster::Metrics(const std::string& job) {
  pb::QueryMetricsRequest request;
  request.set_job(job);
  pb::QueryMetricsResponse response;
  EXPECT_TRUE(pb::MetricService::NewStub(channel_)->QueryMetrics(Context().get(), request, &response).ok());
  return {response.points().begin(), response.points().end()};
}

std::shared_ptr<grpc::Channel> Cluster::worker_channel() const {
  return grpc::CreateChannel("unix:" + (dir_ / "coordinator/worker.sock").string(),
                             grpc::InsecureChannelCredentials());
}

std::string IdOf(const pb::Job& job) { return job.name().substr(job.name().rfind('/') + 1); }

std::unique_ptr<grpc::ClientContext> Context() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_wait_for_ready(true);
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  return context;
}

bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition()) return true;
    std::this_thread::sleep_for(milliseconds(10));
  }
  return false;
}

}  // namespace ft::testing
