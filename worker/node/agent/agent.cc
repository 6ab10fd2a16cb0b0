#include "worker/node/agent/agent.h"

#include <signal.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "core/rpc/listener.h"
#include "core/tls/credentials.h"
#include "worker/node/agent/command_reader.h"
#include "worker/node/agent/data_cache.h"

namespace ft::agent {
namespace {

namespace asio = boost::asio;

constexpr absl::Duration kMaxRegisterBackoff = absl::Seconds(2);
constexpr absl::Duration kReadCardsEvery = absl::Seconds(5);

std::shared_ptr<grpc::ChannelCredentials> CredentialsOf(const Config& config) {
  if (!config.has_tls()) return grpc::InsecureChannelCredentials();
  return tls::ChannelCredentials({config.certificate, config.key, config.ca});
}

}  // namespace

Agent::Agent(Config config, UniqueFd supervisor)
    : config_(std::move(config)),
      client_(context_, rpc::OpenChannel(config_.coordinator, CredentialsOf(config_))),
      metrics_(config_.node_id),
      supervisor_(std::move(supervisor)),
      supervisor_wait_(context_, supervisor_.get()),
      signals_(context_, SIGTERM, SIGINT),
      tick_timer_(context_),
      renew_timer_(context_),
      register_timer_(context_),
      stream_timer_(context_) {
  deps_.client = &client_;
  deps_.files = &files_;
  // After its lease the first thing a worker does is to ask whether its ranks still count.
  deps_.session = [this] { return HoldsLease() ? session_ : std::string(); };
  deps_.hang_limits = {config_.hang_timeout, config_.start_timeout};
  deps_.log_bytes = config_.log_bytes;
  deps_.session_lost = [this] { LoseSession(); };
  deps_.drop_checkpoint = [this](const RankKey& key, const std::string& path) { DropCheckpoint(key, path); };
  deps_.checkpoint_folder = [this](const RankKey& key) { return config_.SharedRunsDir() / key.job_id; };
  deps_.signal = [this](const RankKey& key, int signal) {
    nlohmann::json body = ToJson(key);
    body["op"] = "signal";
    body["signal"] = signal;
    Tell(body);
  };
  deps_.finished = [this](const RankKey& key) {
    nlohmann::json body = ToJson(key);
    body["op"] = "forget";
    Tell(body);
    asio::post(context_, [this, key] {
      runs_.erase(key);
      const bool more = std::any_of(runs_.begin(), runs_.end(),
                                    [&](const auto& item) { return item.first.job_id == key.job_id; });
      if (!more) metrics_.OnJobGone(key.job_id);
    });
  };
  deps_.observe = [this](const RankKey& key, const wpb::RankRecord& record) {
    if (record.has_prepared()) TouchCache(record.prepared().cache_path());
    if (key.rank != 0) return;
    if (record.has_step() && !metrics_.Knows(key.job_id)) metrics_.OnJob(key.job_id, ReadJobInfo(key));
    metrics_.OnRecord(key.job_id, record);
  };
}

Agent::~Agent() { supervisor_wait_.release(); }

Status Agent::Run() {
  RETURN_IF_ERROR(MakeDirectories(config_.RunsDir()));
  RETURN_IF_ERROR(MakeDirectories(config_.CacheDir()));
  RemoveDiscarded();
  if (auto text = ReadFile(std::filesystem::path(config_.data) / "term", 64); text.ok())
    term_ = std::atoll(text->c_str());
  if (auto nvml = OpenNvml(config_.nvml); nvml.ok()) {
    nvml_ = *std::move(nvml);
  } else {
    spdlog::info("no GPUs: {}", std::string(Message(nvml.status())));
  }
  StartPages();
  signals_.async_wait([this](const boost::system::error_code& error, int) {
    if (!error) context_.stop();
  });
  WaitForSupervisor();
  Tick();
  context_.run();
  if (reader_ != nullptr) reader_->Cancel();
  return absl::OkStatus();
}

// Training matters more than its graphs: a port that is taken is said and no more.
void Agent::StartPages() {
  if (config_.metrics != "0" && !config_.metrics.empty()) {
    auto endpoint = metrics::Endpoint::Start(config_.metrics, metrics_.registry());
    if (endpoint.ok()) metrics_endpoint_ = *std::move(endpoint);
    if (!endpoint.ok()) spdlog::error("{}", std::string(Message(endpoint.status())));
  }
  if (config_.probes != "0" && !config_.probes.empty()) {
    turned_.Turn(clock_.BootTime());
    auto probes = http::Probes::Start(config_.probes, clock_, {{"the agent's loop", &turned_}});
    if (probes.ok()) probes_ = *std::move(probes);
    if (!probes.ok()) spdlog::error("{}", std::string(Message(probes.status())));
  }
}

void Agent::TellReadiness() {
  if (probes_ == nullptr) return;
  if (draining_) {
    probes_->SetReady(false, "it is draining");
  } else if (session_.empty() || !HoldsLease()) {
    probes_->SetReady(false, "it has no contact with the coordinator");
  } else {
    probes_->SetReady(true);
  }
}

void Agent::WaitForSupervisor() {
  supervisor_wait_.async_wait(
      asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
        if (error) return;
        while (true) {
          auto message = process::ReceiveMessage(supervisor_.get());
          if (!message.ok()) {
            spdlog::error("the supervisor is gone: {}", std::string(Message(message.status())));
            context_.stop();
            return;
          }
          if (!message->has_value()) break;
          OnSupervisorMessage(*std::move(*message));
        }
        WaitForSupervisor();
      });
}

void Agent::Tell(const nlohmann::json& body) {
  const Status sent = process::SendMessage(supervisor_.get(), body);
  if (!sent.ok()) spdlog::error("to the supervisor: {}", std::string(Message(sent)));
}

void Agent::OnSupervisorMessage(process::Message message) {
  const nlohmann::json& body = message.body;
  const std::string op = body.value("op", "");
  if (op == "hello") {
    incarnation_ = body.value("incarnation", "");
    boot_id_ = body.value("boot_id", "");
  } else if (op == "rank") {
    OnRankState(body, std::move(message.fd));
  } else if (op == "ready") {
    ready_ = true;
    Register();
  } else if (op == "drain") {
    Drain(absl::Milliseconds(body.value("grace_ms", int64_t{0})));
  } else if (op == "exited" || op == "failed") {
    const auto it = runs_.find(process::KeyFromJson(body));
    if (it == runs_.end()) return;
    if (op == "failed") {
      it->second->OnNotStarted(body.value("failure_class", ""), body.value("message", ""));
    } else {
      it->second->OnExited(body.value("wait_status", 0), body.value("end_reason", ""));
      metrics_.OnExit(body.value("wait_status", 0));
    }
    it->second->Tick();
  }
}

std::shared_ptr<RankRun> Agent::NewRun(const RankKey& key, wpb::AttemptKind kind) {
  auto& slot = runs_[key];
  if (slot == nullptr) slot = std::make_shared<RankRun>(key, kind, config_.RunsDir() / key.job_id, deps_);
  return slot;
}

void Agent::OnRankState(const nlohmann::json& body, UniqueFd control) {
  auto rank = process::RankFromJson(body);
  if (!rank.ok()) return;
  wpb::AttemptKind kind = wpb::ATTEMPT_KIND_UNSPECIFIED;
  wpb::AttemptKind_Parse(rank->kind, &kind);
  const auto run = NewRun(rank->key, kind);
  run->OnProcess(*rank, std::move(control));
  run->Tick();
}

JobInfo Agent::ReadJobInfo(const RankKey& key) const {
  const std::filesystem::path attempt = config_.RunsDir() / key.job_id / "attempts" / StrCat(key.epoch);
  const StatusOr<std::string> text = ReadFile(attempt / "job.json", 16 << 20);
  return text.ok() ? JobInfoOf(*text) : JobInfo();
}

std::vector<finetune::v1::Device> Agent::Devices() {
  std::vector<finetune::v1::Device> devices = {CpuDevice(config_.node_id, config_.cores)};
  if (nvml_ == nullptr) return devices;
  auto cards = nvml_->List();
  if (cards.ok()) {
    for (finetune::v1::Device& card : *cards) {
      if (config_.slots_per_device > 1) card.set_slots(static_cast<int32_t>(config_.slots_per_device));
      devices.push_back(std::move(card));
    }
  } else {
    spdlog::warn("{}", std::string(Message(cards.status())));
  }
  return devices;
}

void Agent::Register() {
  if (!ready_ || registering_ || leaving_) return;
  registering_ = true;
  wpb::RegisterWorkerRequest request;
  request.set_node_id(config_.node_id);
  request.set_incarnation(incarnation_);
  request.set_boot_id(boot_id_);
  request.set_version(FT_VERSION);
  for (const auto& device : Devices()) *request.add_devices() = device;
  for (const auto& [key, value] : config_.labels) (*request.mutable_labels())[key] = value;
  (*request.mutable_labels())["runs_dir"] = config_.SharedRunsDir().string();
  if (!config_.shared.empty()) (*request.mutable_labels())["shared_dir"] = config_.shared;
  request.set_address(config_.address);
  for (const auto& [key, run] : runs_) *request.add_ranks() = run->Inventory();
  request.set_highest_term_seen(term_);
  request.set_draining(draining_);
  const int64_t cores = request.devices(0).cores();
  request.set_prepare_slots(static_cast<int32_t>(
      config_.prepare_slots > 0 ? config_.prepare_slots : std::max<int64_t>(1, cores / 2)));
  client_.Call<wpb::RegisterWorkerRequest, wpb::RegisterWorkerResponse>(
      &Client::Async::RegisterWorker, std::move(request),
      [this, sent = clock_.BootTime(), told = draining_](const Status& status,
                                                         const wpb::RegisterWorkerResponse& response) {
        drain_told_ = status.ok() && told;
        OnRegistered(sent, status, response);
      });
}

void Agent::RetryRegister() {
  register_timer_.expires_after(std::chrono::milliseconds(absl::ToInt64Milliseconds(register_backoff_)));
  // Well within the lease that a coordinator grants every node at its start.
  const absl::Duration most = std::min(kMaxRegisterBackoff, absl::Milliseconds(lease_millis_ / 4));
  register_backoff_ = std::min(register_backoff_ * 2, most);
  register_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && session_.empty()) Register();
  });
}

void Agent::OnRegistered(absl::Duration sent, const Status& status,
                         const wpb::RegisterWorkerResponse& response) {
  registering_ = false;
  if (!status.ok() || !AcceptTerm(response.coordinator_term())) {
    if (!coordinator_away_ || !absl::IsUnavailable(status)) {
      spdlog::warn("cannot register with {}: {}", config_.coordinator,
                   status.ok() ? "it is an older coordinator" : std::string(Message(status)));
    }
    coordinator_away_ = true;
    RetryRegister();
    return;
  }
  coordinator_away_ = false;
  if (metrics_endpoint_ != nullptr) metrics_endpoint_->SetServing();
  register_backoff_ = absl::Milliseconds(100);
  session_ = response.session_id();
  lease_millis_ = std::max<int64_t>(response.lease_millis(), 100);
  ExtendLease(sent);
  spdlog::info("registered with {} as {}, {} rank(s) here", config_.coordinator, config_.node_id,
               runs_.size());
  for (const auto& verdict : response.verdicts()) {
    const RankKey key{verdict.ref().job_id(), verdict.ref().epoch(), verdict.ref().rank()};
    const auto it = runs_.find(key);
    if (it == runs_.end()) continue;
    if (verdict.action() == wpb::RegisterWorkerResponse::Verdict::ADOPT) {
      it->second->Adopt();
    } else {
      it->second->Abandon();
    }
  }
  OpenCommandStream();
  RenewLater();
}

void Agent::LoseSession() {
  if (session_.empty()) return;
  session_.clear();
  if (reader_ != nullptr) reader_->Cancel();
  Register();
}

void Agent::RenewLater() {
  renew_timer_.expires_after(std::chrono::milliseconds(lease_millis_ / 3));
  renew_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !session_.empty()) Renew();
  });
}

bool Agent::HoldsLease() const {
  return clock_.BootTime() - last_renewal_ < absl::Milliseconds(lease_millis_);
}

void Agent::ExtendLease(absl::Duration sent) {
  last_renewal_ = sent;
  // A margin for clocks that do not run alike.
  const absl::Duration lease = absl::Milliseconds(lease_millis_);
  const absl::Duration until = sent + lease - std::min(absl::Seconds(1), lease / 10);
  Tell({{"op", "lease"}, {"until_ms", absl::ToInt64Milliseconds(until)}});
}

void Agent::OnRenewed(absl::Duration sent, const wpb::RenewLeaseResponse& response) {
  if (!AcceptTerm(response.coordinator_term())) {
    spdlog::warn("the coordinator's term {} is old", response.coordinator_term());
    LoseSession();
    return;
  }
  for (const wpb::RankRef& ref : response.revoked()) {
    const auto it = runs_.find({ref.job_id(), ref.epoch(), ref.rank()});
    if (it != runs_.end()) it->second->Abandon();
  }
  // Counted from the sending, so that our lease always ends before the coordinator's.
  ExtendLease(sent);
  if (response.lists_live_caches()) TrimCache(response);
}

void Agent::Renew() {
  if (renewing_ || leaving_) return;
  renewing_ = true;
  wpb::RenewLeaseRequest request;
  request.set_session_id(session_);
  request.set_sequence(++renew_sequence_);
  for (const auto& device : Devices()) *request.add_devices() = device;
  for (const auto& [key, run] : runs_) *request.add_ranks() = run->Inventory().ref();
  request.set_draining(draining_);
  request.set_want_live_caches(cache_full_);
  client_.Call<wpb::RenewLeaseRequest, wpb::RenewLeaseResponse>(
      &Client::Async::RenewLease, std::move(request),
      [this, sent = clock_.BootTime(), asked = session_, told = draining_](
          const Status& status, const wpb::RenewLeaseResponse& response) {
        renewing_ = false;
        if (session_ != asked) return;  // The answer is for a session that was replaced meanwhile.
        if (status.ok()) {
          drain_told_ = told;
          OnRenewed(sent, response);
        } else if (rpc::ReasonOf(status) == finetune::v1::SESSION_UNKNOWN) {
          LoseSession();
          return;
        }
        if (!session_.empty()) RenewLater();
      },
      std::chrono::milliseconds(std::clamp<int64_t>(lease_millis_ / 5, 100, 3000)));
}

void Agent::OpenCommandStream() {
  if (reader_ != nullptr) {
    reader_->Cancel();
    reader_ = nullptr;
  }
  reader_ = new CommandReader(
      client_, session_,
      [this](CommandReader* reader, const wpb::Command& command) {
        reader->Acknowledge(command.command_id(), Handle(command));
      },
      [this](const CommandReader* reader, const Status& status) { OnCommandStreamEnded(reader, status); });
  reader_->Start();
}

void Agent::OnCommandStreamEnded(const CommandReader* reader, const Status& status) {
  if (reader != reader_) return;  // Replaced already.
  reader_ = nullptr;
  if (rpc::ReasonOf(status) == finetune::v1::SESSION_UNKNOWN) {
    LoseSession();
    return;
  }
  stream_timer_.expires_after(std::chrono::milliseconds(200));
  stream_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !session_.empty() && reader_ == nullptr) OpenCommandStream();
  });
}

void Agent::ReadCards() {
  const absl::Duration now = clock_.BootTime();
  if (nvml_ == nullptr || now < next_reading_) return;
  next_reading_ = now + kReadCardsEvery;
  for (const CardReading& card : nvml_->Read()) metrics_.OnCard(card);
}

void Agent::Tick() {
  if (!session_.empty() && (!HoldsLease() || (draining_ && !drain_told_))) Renew();
  if (draining_) TryToLeave();
  LookAtCache();
  turned_.Turn(clock_.BootTime());
  TellReadiness();
  int running = 0, exited = 0;
  int64_t spool = 0;
  // A run may finish, and be erased, by a posted task only: the map does not change here.
  for (const auto& [key, run] : runs_) {
    run->Tick();
    ++(run->exited() ? exited : running);
    spool += run->SpoolBytes();
  }
  const double age = session_.empty() ? 0 : absl::ToDoubleSeconds(clock_.BootTime() - last_renewal_);
  metrics_.Refresh(running, exited, spool, age);
  ReadCards();
  tick_timer_.expires_after(std::chrono::milliseconds(absl::ToInt64Milliseconds(config_.poll)));
  tick_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) Tick();
  });
}

}  // namespace ft::agent
