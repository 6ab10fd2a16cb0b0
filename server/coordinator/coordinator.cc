#include "server/coordinator/coordinator.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <boost/asio/post.hpp>
#include <set>

#include "core/rpc/authorize.h"
#include "core/rpc/listener.h"
#include "core/tls/credentials.h"
#include "server/api/artifact_service.h"
#include "server/api/data_service.h"
#include "server/api/event_service.h"
#include "server/api/job_service.h"
#include "server/api/log_service.h"
#include "server/api/metric_service.h"
#include "server/api/node_service.h"
#include "server/api/worker_service.h"
#include "server/spool/sweep.h"
#include "server/state/sqlite_store.h"

namespace ft::coordinator {
namespace {

namespace pb = finetune::v1;
namespace wpb = finetune::worker::v1;

constexpr int64_t kTicksPerHour = 3600;

std::vector<grpc::Service*> Pointers(const std::vector<std::unique_ptr<grpc::Service>>& services) {
  std::vector<grpc::Service*> pointers;
  for (const auto& service : services) pointers.push_back(service.get());
  return pointers;
}

}  // namespace

Status Coordinator::Start() {
  RETURN_IF_ERROR(MakeDirectories(config_.data));
  ::chmod(config_.data.c_str(), 0700);
  // Everything that may be taken by someone else is asked for before the store counts this start.
  ASSIGN_OR_RETURN(store_, state::SqliteStore::Open(config_.data));
  RETURN_IF_ERROR(OpenTls());
  RETURN_IF_ERROR(CheckAddresses());
  ASSIGN_OR_RETURN(state::ClusterState initial, store_->Load());
  spdlog::info("store opened: term {}, revision {}, {} job(s), SQLite {}", initial.term, initial.revision,
               initial.jobs.size(), sqlite3_libversion());
  initial.policy.backoff = config_.retry_backoff;
  spool_ = std::make_unique<spool::Spool>(config_.data);
  RETURN_IF_ERROR(spool_->Recover(
      [&initial](const std::string& job_id) { return initial.jobs.Find(job_id) != nullptr; }));
  initial.policy.roots = config_.roots;
  if (!config_.roots.empty()) initial.policy.roots.push_back(spool_->UploadDir().string());
  loop_ = std::make_unique<state::StateLoop>(*store_, clock_, std::move(initial));
  fleet_ = std::make_unique<fleet::Fleet>(
      *loop_, clock_,
      fleet::VerdictRules{.lease = config_.lease,
                          .stall = config_.stall,
                          .node_loss = config_.node_loss_timeout,
                          .strict_margin = config_.strict_margin,
                          .hang = config_.hang_timeout,
                          .notice = std::min(fleet::VerdictRules().notice, config_.hang_timeout / 2)});
  hub_ = std::make_unique<api::WatchHub>(*loop_, metrics_);
  loop_->OnCommitted([this](const state::Committed& committed) { hub_->OnCommitted(committed); });
  loop_->OnCommands([this](const std::vector<state::NodeCommand>& commands) { fleet_->Dispatch(commands); });
  loop_->SetStats({[this](double seconds, size_t group) { metrics_.OnCommit(seconds, group); },
                   [this](const state::Changes& changes) { metrics_.OnChanges(changes); },
                   [this](const std::string& code) {
                     metrics_.OnStoreError(code);
                     if (code == absl::StatusCodeToString(absl::StatusCode::kResourceExhausted)) {
                       disk_.NoteStore(config_.data, absl::Now());
                     }
                   }});
  api::SetCallObserver([this](const std::string& method, grpc::StatusCode code, double seconds) {
    metrics_.OnCall(method, absl::StatusCodeToString(static_cast<absl::StatusCode>(code)), seconds);
  });
  BuildServices();
  spool_->Start();
  hub_->Start();
  loop_->Start();
  RETURN_IF_ERROR(StartProbes());
  fleet_->Start();
  RemoveOrphanFiles();
  timer_ = std::make_unique<boost::asio::steady_timer>(loop_->context());
  boost::asio::post(loop_->context(), [this] { Housekeep(); });
  return Serve();
}

Status Coordinator::OpenTls() {
  if (!config_.has_tls()) return absl::OkStatus();
  const tls::Files files{config_.certificate, config_.key, config_.worker_ca};
  RETURN_IF_ERROR(tls::Check(files, "worker_ca"));
  user_tls_ = tls::ServerCredentials({files.certificate, files.key, ""});
  if (!config_.tokens.empty()) {
    ASSIGN_OR_RETURN(const auto tokens, rpc::RequireToken(config_.tokens, [this](const char* reason) {
                       metrics_.OnRefused("users", reason);
                     }));
    user_tls_->SetAuthMetadataProcessor(tokens);
  }
  worker_tls_ = tls::ServerCredentials(files);
  worker_tls_->SetAuthMetadataProcessor(rpc::RequireRole(
      rpc::kWorkerRole, [this](const char* reason) { metrics_.OnRefused("workers", reason); }));
  return absl::OkStatus();
}

Status Coordinator::CheckAddresses() {
  std::vector<std::string> addresses = {"unix:" + config_.socket, "unix:" + config_.worker_socket};
  for (const std::string& address : {config_.listen, config_.worker_listen}) {
    if (!address.empty()) addresses.push_back(address);
  }
  for (const std::string& address : addresses)
    RETURN_IF_ERROR(rpc::CheckListenAddress(address, config_.has_tls()));
  if (config_.metrics == "0" || config_.metrics.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(metrics_endpoint_, metrics::Endpoint::Start(config_.metrics, metrics_.registry()));
  return absl::OkStatus();
}

Status Coordinator::StartProbes() {
  if (config_.probes == "0" || config_.probes.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(probes_, http::Probes::Start(config_.probes, clock_,
                                                {{"the state loop", &loop_->loop_turned()},
                                                 {"the writer of the store", &loop_->writer_turned()}}));
  return absl::OkStatus();
}

void Coordinator::BuildServices() {
  backend_ = std::make_unique<api::Backend>(
      api::Backend{*loop_, *spool_, *fleet_, *hub_, metrics_, config_.data, config_.roots, disk_});
  user_services_.push_back(std::make_unique<api::JobService>(*backend_));
  user_services_.push_back(std::make_unique<api::EventService>(*backend_));
  user_services_.push_back(std::make_unique<api::LogService>(*backend_));
  user_services_.push_back(std::make_unique<api::MetricService>(*backend_));
  user_services_.push_back(std::make_unique<api::NodeService>(*backend_));
  user_services_.push_back(std::make_unique<api::ArtifactService>(*backend_));
  user_services_.push_back(std::make_unique<api::DataService>(*backend_));
  worker_service_ = std::make_unique<api::WorkerService>(*backend_);
}

Status Coordinator::Serve() {
  rpc::ListenOptions users, workers;
  users.addresses.push_back("unix:" + config_.socket);
  if (!config_.listen.empty()) users.addresses.push_back(config_.listen);
  workers.addresses.push_back("unix:" + config_.worker_socket);
  if (!config_.worker_listen.empty()) workers.addresses.push_back(config_.worker_listen);
  workers.max_message_bytes = 16 << 20;
  users.service_names = {pb::JobService::service_full_name(),  pb::EventService::service_full_name(),
                         pb::LogService::service_full_name(),  pb::MetricService::service_full_name(),
                         pb::NodeService::service_full_name(), pb::ArtifactService::service_full_name(),
                         pb::DataService::service_full_name()};
  workers.service_names = {wpb::WorkerService::service_full_name()};
  users.tls = user_tls_;
  workers.tls = worker_tls_;
  ASSIGN_OR_RETURN(worker_server_, rpc::Listen(workers, {worker_service_.get()}));
  ASSIGN_OR_RETURN(user_server_, rpc::Listen(users, Pointers(user_services_)));
  if (metrics_endpoint_ != nullptr) metrics_endpoint_->SetServing();
  if (probes_ != nullptr) probes_->SetReady(true);
  spdlog::info("serving users on {}{}{}, workers on {}, metrics on {}", config_.socket,
               config_.listen.empty() ? "" : " and ", config_.listen, config_.worker_socket, config_.metrics);
  return absl::OkStatus();
}

void Coordinator::Stop() {
  if (loop_ == nullptr) return;
  if (probes_ != nullptr) probes_->SetReady(false, "it is stopping");
  for (const auto* server : {&user_server_, &worker_server_}) {
    if (*server != nullptr) (*server)->GetHealthCheckService()->SetServingStatus(/*serving=*/false);
  }
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(2);
  hub_->Stop();
  fleet_->Stop();
  if (user_server_) user_server_->Shutdown(deadline);
  if (worker_server_) worker_server_->Shutdown(deadline);
  spool_->Stop();
  loop_->Stop();
  // Calls that were still waiting ended with the servers; their reactors are gone before their services.
  user_server_.reset();
  worker_server_.reset();
  metrics_endpoint_.reset();
  probes_.reset();
  timer_.reset();
  api::SetCallObserver(nullptr);
  loop_->OnCommitted([](const state::Committed&) {});
  fleet_.reset();
  loop_.reset();
}

// Jobs whose back-off has ended, and devices whose exclusion has, are looked at by the next pass.
void Coordinator::WakeBackedOff() {
  if (state::HasEndedWait(loop_->working(), clock_.Now()) &&
      !loop_->Post(state::SchedulePass{}, nullptr).ok())
    spdlog::warn("a scheduling pass is put off");
}

// On the spool's thread of large files, by a snapshot: what comes after it is too young to go.
void Coordinator::SweepFiles() {
  const Status posted = spool_->RunLarge([this, state = loop_->published()] {
    std::set<std::string> live;
    state->jobs.ForEach([&](const state::JobPtr& job) {
      const state::ConfigPtr config =
          state::IsTerminal(job->job().state()) ? nullptr : state->configs.Find(job->job_id());
      if (config != nullptr)
        live.merge(spool::UploadsNamed(config->resolved_config_json(), spool_->UploadDir()));
    });
    const auto now = std::filesystem::file_time_type::clock::now();
    spool::SweepUploads(spool_->UploadDir(), live, {}, now);
    spool::SweepParts(spool_->root() / "jobs", {}, now);
  });
  if (!posted.ok()) spdlog::warn("the sweep of files is put off: {}", std::string(Message(posted)));
}

// Once a second: gauges and back-offs; once an hour: old requests, events, nodes and files.
void Coordinator::Housekeep() {
  WakeBackedOff();
  metrics_.Refresh(*loop_->published(), fleet_->counts(), loop_->waiting());
  if (++ticks_ % kTicksPerHour == 1) {
    const int64_t keep = config_.keep_events;
    Status posted = loop_->Post(state::PruneRequests{}, nullptr);
    if (posted.ok()) posted = loop_->Post(state::ForgetNodes{}, nullptr);
    SweepFiles();
    if (posted.ok()) {
      posted = loop_->Read([this, keep](state::Store& store) {
        const int64_t newest = loop_->published()->revision;
        if (newest <= keep) return;
        const Status trimmed = store.TrimEvents(newest - keep);
        if (!trimmed.ok()) spdlog::error("{}", std::string(Message(trimmed)));
      });
    }
    if (!posted.ok()) spdlog::warn("hourly cleaning is put off: {}", std::string(Message(posted)));
  }
  timer_->expires_after(std::chrono::seconds(1));
  timer_->async_wait([this](const boost::system::error_code& error) {
    if (!error) Housekeep();
  });
}

// Files of jobs that were deleted just before a crash.
void Coordinator::RemoveOrphanFiles() {
  const state::Snapshot state = loop_->published();
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(config_.data) / "jobs", ignored)) {
    const std::string id = entry.path().filename().string();
    if (state->jobs.Find(id) != nullptr) continue;
    const Status posted = spool_->Run([this, id] { spool_->RemoveJob(id); });
    if (!posted.ok()) return;
  }
}

}  // namespace ft::coordinator
