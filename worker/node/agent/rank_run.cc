#include "worker/node/agent/rank_run.h"

#include <fcntl.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "core/base/clock.h"
#include "core/process/proc.h"
#include "worker/node/agent/artifact_push.h"

namespace ft::agent {
namespace {

// Grace periods and pauses count on the boot-time clock: a jump of the wall clock kills nothing.
absl::Time SteadyNow() { return absl::UnixEpoch() + SystemClock().BootTime(); }

constexpr size_t kLogPiece = 256 << 10;
constexpr uint64_t kBatchBytes = 4 << 20;
constexpr absl::Duration kMaxBackoff = absl::Seconds(2);
constexpr absl::Duration kWarnPause = absl::Minutes(1);
constexpr size_t kUncommittedKept = 2;
constexpr absl::Duration kSavePause = absl::Seconds(1);

int64_t SizeOf(const std::filesystem::path& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<int64_t>(size);
}

// How many processes the kernel has killed for want of memory since it started.
uint64_t OomKills() {
  const std::string text = process::ReadProc("/proc/vmstat");
  const size_t found = text.find("oom_kill ");
  return found == std::string::npos ? 0 : std::strtoull(text.c_str() + found + 9, nullptr, 10);
}

// One word on the control socket. A rank that does not read does not block us.
void SendWord(const UniqueFd& control, const std::string& word) {
  if (!control.valid()) return;
  const std::string line = word + "\n";
  if (::send(control.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    spdlog::warn("control socket: '{}' could not be sent: {}", word, std::strerror(errno));
  }
}

}  // namespace

RankRun::RankRun(RankKey key, wpb::AttemptKind kind, std::filesystem::path run_dir, const RankRunDeps& deps)
    : key_(std::move(key)),
      kind_(kind),
      run_dir_(std::move(run_dir)),
      deps_(deps),
      follower_(RankDir() / "records.ftr"),
      watchdog_(deps.hang_limits, SystemClock().BootTime()),
      oom_kills_(OomKills()),
      stdout_("stdout", RankDir() / "stdout.log", deps.log_bytes),
      stderr_("stderr", RankDir() / "stderr.log", deps.log_bytes) {
  LoadShipped();
}

void RankRun::LoadShipped() {
  auto text = ReadFile(RankDir() / "shipped.json", 1 << 20);
  if (!text.ok()) return;
  const auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return;  // Sent again; the coordinator drops what it has.
  const auto number = [&](const char* name) {
    return json.contains(name) && json[name].is_number_integer() ? json[name].get<int64_t>() : 0;
  };
  record_offset_ = static_cast<uint64_t>(number("record_offset"));
  record_sequence_ = static_cast<uint64_t>(number("record_sequence"));
  stdout_.set_acked(number("stdout"));
  stderr_.set_acked(number("stderr"));
  if (json.contains("adapter_path") && json["adapter_path"].is_string()) adapter_path_ = json["adapter_path"];
}

void RankRun::SaveShipped() {
  // A checkpoint is noted as shipped only once it is committed.
  if (!shipped_changed_ || !checkpoints_.empty()) return;
  shipped_changed_ = false;
  saved_at_ = SteadyNow();
  const nlohmann::json json = {{"record_offset", record_offset_},
                               {"record_sequence", record_sequence_},
                               {"stdout", stdout_.acked()},
                               {"stderr", stderr_.acked()},
                               {"adapter_path", adapter_path_}};
  const Status saved = WriteFileDurably(RankDir() / "shipped.json", json.dump());
  if (!saved.ok()) spdlog::warn("{}", std::string(Message(saved)));
}

void RankRun::OnProcess(const process::RankProcess& process, UniqueFd control) {
  pid_ = process.pid;
  control_ = std::move(control);
  if (process.wait_status) OnExited(*process.wait_status, process.end_reason);
  ApplyStop();
  TellRendezvous();
  TellCheckpoint();
}

void RankRun::OnExited(int wait_status, const std::string& end_reason) {
  wait_status_ = wait_status;
  control_.Reset();
  PollRecords();
  if (!end_reason.empty()) {
    RecordCause(finetune::v1::CONTROL_PLANE, StrCat("rank ", key_.rank, " was killed: ", end_reason));
  } else if (stop_applied_ && !stop_->checkpoint) {
    RecordCause(finetune::v1::CONTROL_PLANE, StrCat("rank ", key_.rank, " was stopped as asked"));
  } else if (stop_applied_ && WIFSIGNALED(wait_status) && SteadyNow() >= stop_->kill_at) {
    RecordCause(
        finetune::v1::CONTROL_PLANE,
        StrCat("rank ", key_.rank, " was killed: it did not come to a checkpoint in the time to stop"));
  } else if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL && OomKills() > oom_kills_) {
    RecordCause(finetune::v1::HOST_OOM,
                StrCat("rank ", key_.rank, " was killed because the machine ran out of memory"));
  }
}

void RankRun::OnNotStarted(const std::string& failure_class, const std::string& message) {
  not_started_ = true;
  failure_class_ = failure_class;
  message_ = message;
}

void RankRun::RecordCause(finetune::v1::FailureClass failure_class, const std::string& message) {
  if (!failure_class_.empty() || has_result_) return;
  failure_class_ = finetune::v1::FailureClass_Name(failure_class);
  message_ = message;
}

void RankRun::PollRecords() {
  auto frames = follower_.Next();
  const absl::Duration now = SystemClock().BootTime();
  while (frames.ok() && !frames->empty()) {
    wpb::RankRecord record;
    for (const std::string& frame : *frames) {
      if (!record.ParseFromString(frame)) continue;  // ShipRecords says so.
      watchdog_.OnRecord(record, now);
      has_result_ = has_result_ || record.has_result();
      // What was committed before this agent started is not followed again: its records lie before the shipped offset.
      if (record.has_checkpoint() && record.sequence() > record_sequence_)
        written_.push_back(record.checkpoint().path());
    }
    frames = follower_.Next();
  }
  DropUncommitted();
  if (exited() || pid_ == 0) return;
  // A process that is killed for its memory may take a while to die.
  if (now - oom_looked_ > absl::Seconds(5)) {
    oom_looked_ = now;
    oom_kills_ = OomKills();
  }
  const std::optional<std::string> hang = watchdog_.Look(now);
  if (!hang || !failure_class_.empty()) return;
  spdlog::error("job {} attempt {} rank {} hangs: {}", key_.job_id, key_.epoch, key_.rank, *hang);
  RecordCause(finetune::v1::HANG, StrCat("rank ", key_.rank, " hangs: ", *hang));
  deps_.signal(key_, SIGKILL);
}

void RankRun::SetRendezvous(const std::string& address) {
  rendezvous_ = address;
  TellRendezvous();
}

void RankRun::TellRendezvous() {
  if (rendezvous_.empty() || key_.rank == 0 || exited()) return;
  SendWord(control_, StrCat("rendezvous ", rendezvous_));
}

void RankRun::Abandon() {
  abandoned_ = true;
  if (!exited()) deps_.signal(key_, SIGKILL);
}

void RankRun::Stop(bool checkpoint, absl::Duration grace) {
  if (stop_ && (checkpoint || !stop_->checkpoint)) return;  // Asked already.
  stop_ = StopRequest{checkpoint, SteadyNow() + grace};
  stop_applied_ = false;
  ApplyStop();
}

void RankRun::ApplyStop() {
  if (!stop_ || stop_applied_ || pid_ == 0 || exited()) return;
  stop_applied_ = true;
  if (stop_->checkpoint) {
    SendWord(control_, "stop");
  } else {
    deps_.signal(key_, SIGTERM);
  }
}

void RankRun::TakeCheckpoint() {
  checkpoint_wanted_ = true;
  TellCheckpoint();
}

void RankRun::TellCheckpoint() {
  if (!checkpoint_wanted_ || !control_.valid() || exited()) return;
  checkpoint_wanted_ = false;
  SendWord(control_, "checkpoint");
}

wpb::RankRef RankRun::Ref() const {
  wpb::RankRef ref;
  ref.set_job_id(key_.job_id);
  ref.set_epoch(key_.epoch);
  ref.set_rank(key_.rank);
  return ref;
}

wpb::RankInventory RankRun::Inventory() const {
  wpb::RankInventory inventory;
  *inventory.mutable_ref() = Ref();
  inventory.set_kind(kind_);
  inventory.set_pid(pid_);
  inventory.set_state(exited() ? wpb::RANK_EXITED : pid_ == 0 ? wpb::RANK_STARTING : wpb::RANK_RUNNING);
  inventory.set_wait_status(wait_status_.value_or(0));
  inventory.set_acked_record_sequence(static_cast<int64_t>(record_sequence_));
  inventory.set_acked_stdout_offset(stdout_.acked());
  inventory.set_acked_stderr_offset(stderr_.acked());
  return inventory;
}

int64_t RankRun::SpoolBytes() const {
  return SizeOf(RankDir() / "records.ftr") - static_cast<int64_t>(record_offset_) + stdout_.Backlog() +
         stderr_.Backlog();
}

void RankRun::TrimLogs() {
  for (LogTail* tail : {&stdout_, &stderr_}) {
    if (const Status trimmed = tail->Trim(); !trimmed.ok()) spdlog::warn("{}", std::string(Message(trimmed)));
  }
}

void RankRun::Tick() {
  if (finished_) return;
  PollRecords();
  TrimLogs();
  if (SteadyNow() >= saved_at_ + kSavePause) SaveShipped();
  if (stop_ && !exited() && pid_ != 0 && SteadyNow() >= stop_->kill_at) deps_.signal(key_, SIGKILL);
  if (abandoned_ && exited() && !in_flight_) {
    finished_ = true;
    deps_.finished(key_);
    return;
  }
  if (!adopted_ || abandoned_ || in_flight_ || SteadyNow() < retry_at_ || deps_.session().empty()) return;
  if (pid_ == 0 && !exited()) return;
  if (ReportRunning() || ShipNext()) return;
  if (!exited() || ShipAdapter()) return;
  ReportEnd();
}

bool RankRun::ShipNext() {
  bool (RankRun::*const kinds[])() = {&RankRun::ShipRecords, &RankRun::CommitNextCheckpoint,
                                      &RankRun::ShipStdout, &RankRun::ShipStderr};
  for (size_t tries = 0; tries < std::size(kinds); ++tries) {
    const size_t kind = next_kind_;
    next_kind_ = (next_kind_ + 1) % std::size(kinds);
    if ((this->*kinds[kind])()) return true;
  }
  return false;
}

bool RankRun::OnCallDone(const Status& status) {
  in_flight_ = false;
  if (status.ok()) {
    backoff_ = absl::Milliseconds(100);
    return true;
  }
  const auto reason = rpc::ReasonOf(status);
  if (reason == finetune::v1::STALE_EPOCH) {
    spdlog::warn("job {} attempt {} rank {} is over: {}", key_.job_id, key_.epoch, key_.rank,
                 std::string(Message(status)));
    Abandon();
  } else if (reason == finetune::v1::SESSION_UNKNOWN) {
    deps_.session_lost();
  } else {
    const bool no_room = absl::IsResourceExhausted(status) && SteadyNow() >= warned_at_ + kWarnPause;
    if (no_room) warned_at_ = SteadyNow();
    spdlog::log(no_room ? spdlog::level::warn : spdlog::level::debug, "job {} rank {}: {}; trying again",
                key_.job_id, key_.rank, std::string(Message(status)));
    retry_at_ = SteadyNow() + backoff_;
    backoff_ = std::min(backoff_ * 2, kMaxBackoff);
  }
  return false;
}

bool RankRun::Backoff(const Status& why) {
  spdlog::warn("job {} attempt {} rank {}: {}; trying again", key_.job_id, key_.epoch, key_.rank,
               std::string(Message(why)));
  retry_at_ = SteadyNow() + backoff_;
  backoff_ = std::min(backoff_ * 2, kMaxBackoff);
  return true;
}

bool RankRun::ReportRunning() {
  if (reported_running_ || exited()) return false;
  wpb::ReportRankRequest request;
  request.set_session_id(deps_.session());
  *request.mutable_ref() = Ref();
  request.set_state(wpb::RANK_RUNNING);
  request.set_pid(pid_);
  in_flight_ = true;
  deps_.client->Call<wpb::ReportRankRequest, wpb::ReportRankResponse>(
      &Client::Async::ReportRank, std::move(request),
      [self = shared_from_this()](const Status& status, const wpb::ReportRankResponse&) {
        if (self->OnCallDone(status)) self->reported_running_ = true;
        self->Tick();
      });
  return true;
}

bool RankRun::ShipRecords() {
  if (records_broken_) return false;
  // As many frames as fit one message.
  size_t max_frames = 256;
  records::FrameReader reader(RankDir() / "records.ftr", record_offset_);
  auto frames = reader.Next(max_frames);
  while (frames.ok() && max_frames > 1 && reader.offset() - record_offset_ > kBatchBytes) {
    max_frames /= 4;
    reader = records::FrameReader(RankDir() / "records.ftr", record_offset_);
    frames = reader.Next(max_frames);
  }
  if (!frames.ok() && !absl::IsDataLoss(frames.status())) return Backoff(frames.status());
  if (!frames.ok()) {
    spdlog::error("{}", std::string(Message(frames.status())));
    records_broken_ = true;
    return false;
  }
  batch_.clear();
  for (const std::string& frame : *frames) {
    wpb::RankRecord record;
    if (!record.ParseFromString(frame)) {
      spdlog::error("job {} rank {}: a record cannot be read; the rest of its file is left", key_.job_id,
                    key_.rank);
      records_broken_ = true;
      break;
    }
    if (record.sequence() > record_sequence_) batch_.push_back(std::move(record));
  }
  batch_offset_ = reader.offset();
  if (batch_.empty()) {
    record_offset_ = batch_offset_;
    return false;
  }
  wpb::PushRecordsRequest request;
  request.set_session_id(deps_.session());
  *request.mutable_ref() = Ref();
  for (const wpb::RankRecord& record : batch_) *request.add_records() = record;
  in_flight_ = true;
  deps_.client->Call<wpb::PushRecordsRequest, wpb::PushRecordsResponse>(
      &Client::Async::PushRecords, std::move(request),
      [self = shared_from_this()](const Status& status, const wpb::PushRecordsResponse& response) {
        self->OnRecordsAcked(status, static_cast<uint64_t>(response.acked_sequence()));
        self->Tick();
      });
  return true;
}

void RankRun::OnRecordsAcked(const Status& status, uint64_t acked) {
  if (!OnCallDone(status)) return;
  if (acked < batch_.back().sequence()) {
    // It has less than we thought: read again from the start, and skip what it has.
    record_offset_ = 0;
    record_sequence_ = acked;
    retry_at_ = SteadyNow() + backoff_;
    return;
  }
  for (const wpb::RankRecord& record : batch_) {
    if (record.has_checkpoint()) checkpoints_.push_back(record.checkpoint());
    if (record.has_result() && record.result().state() == wpb::ResultRecord::SUCCEEDED) {
      adapter_path_ = record.result().adapter_path();
    }
    deps_.observe(key_, record);
  }
  record_sequence_ = batch_.back().sequence();
  record_offset_ = batch_offset_;
  shipped_changed_ = true;
}

void RankRun::DropUncommitted() {
  while (written_.size() > kUncommittedKept) {
    deps_.drop_checkpoint(key_, written_.front());
    written_.erase(written_.begin());
  }
}

bool RankRun::CommitNextCheckpoint() {
  std::error_code error;
  // One that was dropped, by this agent or by the one before it, is not there any more.
  while (!checkpoints_.empty() &&
         !std::filesystem::exists(deps_.checkpoint_folder(key_) / checkpoints_.front().path(), error)) {
    checkpoints_.erase(checkpoints_.begin());
    shipped_changed_ = true;
  }
  if (checkpoints_.empty()) return false;
  std::erase(written_, checkpoints_.front().path());
  wpb::CommitCheckpointRequest request;
  request.set_session_id(deps_.session());
  *request.mutable_ref() = Ref();
  *request.mutable_checkpoint() = checkpoints_.front();
  in_flight_ = true;
  deps_.client->Call<wpb::CommitCheckpointRequest, wpb::CommitCheckpointResponse>(
      &Client::Async::CommitCheckpoint, std::move(request),
      [self = shared_from_this()](const Status& status, const wpb::CommitCheckpointResponse&) {
        if (self->OnCallDone(status)) {
          self->checkpoints_.erase(self->checkpoints_.begin());
          self->shipped_changed_ = true;
        }
        self->Tick();
      });
  return true;
}

bool RankRun::ShipLog(LogTail& tail) {
  auto piece = tail.Next(kLogPiece);
  if (!piece.ok()) return Backoff(piece.status());
  if (piece->data.empty()) return false;
  wpb::PushLogsRequest request;
  request.set_session_id(deps_.session());
  *request.mutable_ref() = Ref();
  request.set_stream(tail.stream());
  request.set_offset(piece->offset);
  request.set_oldest(piece->oldest);
  request.set_data(std::move(piece->data));
  in_flight_ = true;
  deps_.client->Call<wpb::PushLogsRequest, wpb::PushLogsResponse>(
      &Client::Async::PushLogs, std::move(request),
      [self = shared_from_this(), &tail](const Status& status, const wpb::PushLogsResponse& response) {
        if (self->OnCallDone(status)) {
          // One that takes no step on is not asked again at once.
          if (response.acked_offset() == tail.acked()) self->retry_at_ = SteadyNow() + self->backoff_;
          tail.set_acked(response.acked_offset());
          self->shipped_changed_ = true;
        }
        self->Tick();
      });
  return true;
}

Status RankRun::ListAdapter() {
  if (adapter_path_.empty() || key_.rank != 0) return absl::OkStatus();
  std::error_code error;
  const std::filesystem::path dir = run_dir_ / adapter_path_;
  std::filesystem::recursive_directory_iterator entry(dir, error), end;
  adapter_files_.clear();
  for (; !error && entry != end; entry.increment(error)) {
    if (entry->is_regular_file(error)) adapter_files_.push_back(entry->path().lexically_relative(dir));
  }
  std::sort(adapter_files_.begin(), adapter_files_.end());
  // One that is gone will not come back; anything else may be read another time.
  if (error && error != std::errc::no_such_file_or_directory) return ErrnoStatus("list", dir, error.value());
  return absl::OkStatus();
}

bool RankRun::ShipAdapter() {
  if (!adapter_listed_) {
    if (const Status listed = ListAdapter(); !listed.ok()) return Backoff(listed);
    adapter_listed_ = true;
  }
  if (adapter_files_done_ >= adapter_files_.size()) return false;
  const std::filesystem::path name = adapter_files_[adapter_files_done_];
  in_flight_ = true;
  PushArtifact(
      *deps_.client, *deps_.files,
      {deps_.session(), Ref(), name.generic_string(), run_dir_ / adapter_path_ / name, adapter_digest_,
       [self = shared_from_this()](const std::string& digest) { self->adapter_digest_ = digest; }},
      [self = shared_from_this()](const Status& status) {
        if (self->OnCallDone(status)) {
          ++self->adapter_files_done_;
          self->adapter_digest_.clear();
        } else if (absl::IsDataLoss(status)) {
          self->adapter_digest_.clear();  // The file was changed since.
        }
        self->Tick();
      });
  return true;
}

void RankRun::ReportEnd() {
  wpb::ReportRankRequest request;
  request.set_session_id(deps_.session());
  *request.mutable_ref() = Ref();
  request.set_state(not_started_ ? wpb::RANK_NOT_STARTED : wpb::RANK_EXITED);
  request.set_pid(pid_);
  request.set_wait_status(wait_status_.value_or(0));
  request.set_message(message_);
  request.set_failure_class(failure_class_);
  in_flight_ = true;
  deps_.client->Call<wpb::ReportRankRequest, wpb::ReportRankResponse>(
      &Client::Async::ReportRank, std::move(request),
      [self = shared_from_this()](const Status& status, const wpb::ReportRankResponse&) {
        if (!self->OnCallDone(status)) {
          self->Tick();
          return;
        }
        self->finished_ = true;
        self->deps_.finished(self->key_);
      });
}

}  // namespace ft::agent
