#include "tests/control/cluster.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

extern char** environ;

namespace ft::testing {
namespace {

using std::chrono::milliseconds;

// `extra`: NAME=value for its environment.
pid_t Spawn(std::vector<std::string> argv, const std::filesystem::path& log,
            std::vector<std::string> extra = {}) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  std::vector<char*> pointers;
  for (std::string& argument : argv) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  std::vector<char*> environment;
  for (std::string& entry : extra) environment.push_back(entry.data());
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);
  pid_t pid = 0;
  EXPECT_EQ(::posix_spawn(&pid, pointers[0], &actions, nullptr, pointers.data(), environment.data()), 0)
      << argv[0];
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

// Signal 0 only waits.
int Finish(pid_t* pid, int signal) {
  if (*pid == 0) return -1;
  if (signal != 0) ::kill(*pid, signal);
  int status = 0;
  ::waitpid(*pid, &status, 0);
  *pid = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// A child that can be waited for, and is left for that.
bool HasEnded(pid_t pid) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid;
}

std::string CommandLine(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// What a signal means to the life of who gets it.
const char* PhaseOf(int signal) { return signal == SIGSTOP ? "begin" : signal == SIGCONT ? "end" : "once"; }

// A rank's process, by its command line: job, epoch and rank; null for anything else.
nlohmann::json RankOf(pid_t pid) {
  const std::string words = CommandLine(pid);
  const auto after = [&](const std::string& flag) {
    const size_t at = words.find(flag + '\0');
    return at == std::string::npos ? std::string() : std::string(words.c_str() + at + flag.size() + 1);
  };
  const std::filesystem::path attempt = after("--attempt");
  if (attempt.empty()) return nullptr;
  return {{"kind", "process"},
          {"job", attempt.parent_path().parent_path().filename().string()},
          {"epoch", std::atoll(attempt.filename().c_str())},
          {"rank", std::atoi(after("--rank").c_str())},
          {"pid", pid}};
}

std::vector<pid_t> Children(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  std::vector<pid_t> children;
  for (pid_t child = 0; file >> child;) children.push_back(child);
  return children;
}

}  // namespace

Cluster::Cluster(ClusterOptions options) : options_(std::move(options)), history_(dir_ / "history.jsonl") {
  std::filesystem::create_directories(dir_ / "coordinator");
  std::ofstream(dir_ / "coordinator.yaml")
      << "data: " << (dir_ / "coordinator").string() << "\nmetrics: \"0\"\nlease: " << options_.lease
      << "\nstall: " << options_.stall << "\nnode_loss_timeout: " << options_.node_loss << "\n"
      << options_.coordinator;
  history_.Add(
      {{"kind", "clock"},
       {"wall", std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count()}});
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  channel_ = grpc::CreateCustomChannel("unix:" + (dir_ / "coordinator/finetuned.sock").string(),
                                       grpc::InsecureChannelCredentials(), arguments);
  jobs_ = pb::JobService::NewStub(channel_);
}

Cluster::~Cluster() {
  watchers_.reset();
  if (::testing::Test::HasFailure()) {
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
      if (entry.path().extension() != ".log") continue;
      std::ifstream file(entry.path());
      std::cerr << "--- " << entry.path().filename().string() << "\n" << file.rdbuf() << "\n";
    }
  }
  for (auto& [node, pid] : workers_) {
    // A stopped agent would keep its supervisor's SIGKILL company.
    SignalNode(node, SIGCONT);
    Finish(&pid, SIGKILL);
  }
  KillCoordinator();
}

bool Cluster::StartCoordinator() {
  std::vector<std::string> argv = {options_.coordinator_binary, "--config",
                                   (dir_ / "coordinator.yaml").string()};
  argv.insert(argv.end(), options_.coordinator_arguments.begin(), options_.coordinator_arguments.end());
  coordinator_ = Spawn(argv, dir_ / "coordinator.log");
  if (coordinator_starts_++ > 0) NoteFault("coordinator", "end");
  // A connection to a killed predecessor fails once before the new one is tried.
  auto nodes = pb::NodeService::NewStub(channel_);
  bool ended = false;
  EXPECT_TRUE(Eventually([&] {
    ended = CoordinatorEnded();
    pb::ServerInfo info;
    return ended || nodes->GetServerInfo(ContextOf(milliseconds(200)).get(), {}, &info).ok();
  }));
  if (watchers_ == nullptr) watchers_ = std::make_unique<Watchers>(channel_, history_);
  return !ended;
}

void Cluster::StartWorker(const std::string& node, const std::string& coordinator, int cores) {
  const std::string config = (dir_ / (node + ".yaml")).string();
  std::ofstream(config) << "data: " << WorkerDir(node).string()
                        << "\ncoordinator: unix:" << (coordinator.empty() ? worker_socket() : coordinator)
                        << "\nmetrics: \"0\"\nnode_id: " << node
                        << "\ncores: " << (cores > 0 ? cores : options_.cores)
                        << "\npoll: 5ms\nrank_binary: " << FT_FAKE_RANK
                        << "\nnvml: none\nstop_grace: " << options_.stop_grace << "\n"
                        << (options_.shared ? "shared: " + (dir_ / "shared").string() + "\n" : "")
                        << options_.worker;
  if (workers_.contains(node)) NoteFault("worker", "end");
  workers_[node] = Spawn({FT_BIN_DIR "/ft-worker", "--config", config}, dir_ / (node + ".log"),
                         {"FT_FAKE_HISTORY=" + history_.path().string()});
}

void Cluster::KillCoordinator() {
  NoteFault("coordinator", "begin");
  Finish(&coordinator_, SIGKILL);
}
void Cluster::KillWorker(const std::string& node) {
  NoteFault("worker", "begin");
  Finish(&workers_[node], SIGKILL);
}
int Cluster::StopCoordinator() {
  NoteFault("coordinator", "begin");
  return Finish(&coordinator_, SIGTERM);
}
int Cluster::StopWorker(const std::string& node) {
  NoteFault("worker", "begin");
  return Finish(&workers_[node], SIGTERM);
}
void Cluster::AskWorkerToStop(const std::string& node) {
  NoteFault("worker", "begin");
  ::kill(workers_.at(node), SIGTERM);
}
int Cluster::AwaitWorker(const std::string& node) { return Finish(&workers_[node], 0); }
bool Cluster::CoordinatorEnded() const { return coordinator_ == 0 || HasEnded(coordinator_); }
int Cluster::ReapCoordinator() {
  NoteFault("coordinator", "begin");
  return Finish(&coordinator_, 0);
}

pid_t Cluster::AgentPid(const std::string& node) const {
  for (const pid_t child : Children(workers_.at(node))) {
    if (CommandLine(child).find("--agent") != std::string::npos) return child;
  }
  return 0;
}

std::vector<pid_t> Cluster::RankPids(const std::string& node) const {
  std::vector<pid_t> ranks;
  for (const pid_t child : Children(workers_.at(node))) {
    if (CommandLine(child).find("--attempt") != std::string::npos) ranks.push_back(child);
  }
  return ranks;
}

void Cluster::NoteFault(const char* target, const char* phase) {
  history_.Add({{"kind", "fault"}, {"target", target}, {"phase", phase}});
}

void Cluster::Signal(pid_t pid, int signal) {
  if (pid <= 0) {  // Zero is our own group.
    ADD_FAILURE() << "there is no process to signal";
    return;
  }
  const bool is_agent = CommandLine(pid).find("--agent") != std::string::npos;
  NoteFault(is_agent ? "agent" : "rank", PhaseOf(signal));
  ::kill(pid, signal);
}

void Cluster::SignalNode(const std::string& node, int signal) {
  const pid_t supervisor = workers_.at(node);
  if (supervisor == 0) return;
  NoteFault("worker", PhaseOf(signal));
  const std::vector<pid_t> children = Children(supervisor);
  ::kill(supervisor, signal);
  for (const pid_t child : children) ::kill(child, signal);
}

std::string Cluster::JobYaml(const CreateOptions& options) const {
  std::stringstream yaml;
  yaml << "name: " << options.name << "\nmodel: " << dir_.path().string()
       << "\ndata: " << dir_.path().string()
       << "/data.jsonl\nmethod: {kind: lora}\ntrain:\n  checkpoint: {every_steps: " << options.every_steps
       << ", keep_last: " << options.keep_last << "}\nresources: {threads: " << options.threads
       << "}\nparallel: {ranks: " << options.ranks
       << "}\nstrict_exclusive: " << (options.strict_exclusive ? "true" : "false") << "\n";
  if (!options.labels.empty()) yaml << "labels:\n" << options.labels;
  return yaml.str();
}

grpc::Status Cluster::Create(const CreateOptions& options, pb::Job* job, milliseconds deadline) {
  pb::CreateJobRequest request;
  request.set_request_id(options.request_id);
  request.mutable_job()->set_config_yaml(JobYaml(options));
  const grpc::Status status = jobs_->CreateJob(ContextOf(deadline).get(), request, job);
  history_.Add({{"kind", "create"},
                {"request_id", options.request_id},
                {"ok", status.ok()},
                {"code", static_cast<int>(status.error_code())},
                {"job", status.ok() ? IdOf(*job) : ""}});
  return status;
}

grpc::Status Cluster::Get(const std::string& name, pb::Job* job, milliseconds deadline) {
  pb::GetJobRequest request;
  request.set_name(name);
  const grpc::Status status = jobs_->GetJob(ContextOf(deadline).get(), request, job);
  if (status.ok()) {
    history_.Add({{"kind", "state"},
                  {"job", IdOf(*job)},
                  {"state", pb::JobState_Name(job->state())},
                  {"epoch", job->epoch()}});
  }
  return status;
}

grpc::Status Cluster::Cancel(const std::string& name) {
  pb::CancelJobRequest request;
  request.set_name(name);
  pb::Job job;
  const grpc::Status status = jobs_->CancelJob(Context().get(), request, &job);
  history_.Add({{"kind", "cancel"}, {"job", status.ok() ? IdOf(job) : name}, {"ok", status.ok()}});
  return status;
}

pb::Job Cluster::WaitFor(const std::string& name, const std::function<bool(const pb::Job&)>& when) {
  pb::Job job;
  const bool reached = Eventually([&] { return Get(name, &job).ok() && when(job); });
  EXPECT_TRUE(reached) << name << " is " << pb::JobState_Name(job.state()) << " in epoch " << job.epoch()
                       << ", step " << job.progress().step() << ": " << job.state_message();
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

std::vector<pb::Node> Cluster::Nodes() {
  pb::ListNodesResponse response;
  EXPECT_TRUE(pb::NodeService::NewStub(channel_)->ListNodes(Context().get(), {}, &response).ok());
  return {response.nodes().begin(), response.nodes().end()};
}

pb::Node Cluster::Node(const std::string& node) {
  for (const pb::Node& known : Nodes()) {
    if (known.node_id() == node) return known;
  }
  return {};
}

void Cluster::WaitForNodes(size_t count) {
  EXPECT_TRUE(Eventually([&] {
    const std::vector<pb::Node> nodes = Nodes();
    return count == static_cast<size_t>(std::count_if(nodes.begin(), nodes.end(), [](const pb::Node& node) {
             return node.state() == pb::READY;
           }));
  }));
}

void Cluster::WaitForNode() {
  EXPECT_TRUE(Eventually([&] {
    const std::vector<pb::Node> nodes = Nodes();
    return !nodes.empty() && nodes[0].state() == pb::READY;
  }));
}

void Cluster::NoteProcesses() {
  for (const auto& [node, pid] : workers_) {
    if (pid == 0) continue;
    for (const pid_t child : RankPids(node)) {
      const nlohmann::json rank = RankOf(child);
      if (!rank.is_null()) history_.Add(rank);
    }
  }
}

std::vector<std::string> Cluster::CheckArguments() const {
  std::vector<std::string> argv = {FT_HISTORY_CHECK,
                                   "--coordinator",
                                   (dir_ / "coordinator").string(),
                                   "--history",
                                   history_.path().string(),
                                   "--stall",
                                   options_.stall,
                                   "--node-loss",
                                   options_.node_loss,
                                   "--progress",
                                   "60s"};
  for (const auto& [node, pid] : workers_) {
    argv.insert(argv.end(), {"--worker", WorkerDir(node).string()});
  }
  return argv;
}

void Cluster::Check() {
  if (checked_) return;
  checked_ = true;
  NoteProcesses();
  if (watchers_ != nullptr && !CoordinatorEnded()) watchers_->CatchUp();
  watchers_.reset();
  history_.Add({{"kind", "end"}});
  for (auto& [node, pid] : workers_) {
    SignalNode(node, SIGCONT);
    Finish(&pid, SIGKILL);
  }
  KillCoordinator();
  pid_t checker = Spawn(CheckArguments(), dir_ / "history_check.log");
  EXPECT_EQ(Finish(&checker, 0), 0) << "history_check found violations";
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

std::unique_ptr<grpc::ClientContext> ContextOf(milliseconds deadline) {
  if (deadline == milliseconds(0)) return Context();
  auto context = std::make_unique<grpc::ClientContext>();
  // Waiting polls the channel; a call that fails fast would leave its reconnection to a timer of five
  // seconds.
  context->set_wait_for_ready(true);
  context->set_deadline(std::chrono::system_clock::now() + deadline);
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
