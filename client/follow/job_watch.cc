#include "client/follow/job_watch.h"

#include <utility>

namespace ft::client {
namespace {

constexpr std::chrono::milliseconds kRetryPause{500};

// A token that the coordinator no longer takes: the watch starts from the present state instead.
bool IsTokenTrouble(const Status& status) {
  return absl::IsOutOfRange(status) || absl::IsFailedPrecondition(status) || absl::IsInvalidArgument(status);
}

bool IsRefusal(const Status& status) {
  return absl::IsNotFound(status) || absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status) ||
         absl::IsUnimplemented(status) || absl::IsInvalidArgument(status);
}

}  // namespace

JobWatch::JobWatch(const Connection& connection, std::string name)
    : connection_(connection), name_(std::move(name)), thread_([this] { Run(); }) {}

JobWatch::~JobWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (context_ != nullptr) context_->TryCancel();
  }
  changed_.notify_all();
  thread_.join();
}

JobWatch::Update JobWatch::Next(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, timeout, [this] { return news_; });
  Update update = update_;
  update_.job.reset();
  news_ = false;
  return update;
}

void JobWatch::Run() {
  while (true) {
    const Status status = ReadStream();
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      if (!resume_token_.empty() && IsTokenTrouble(status)) {
        resume_token_.clear();
        continue;
      }
      if (IsRefusal(status)) {
        update_.refused = status;
        news_ = true;
        changed_.notify_all();
        return;
      }
      if (!status.ok()) {
        update_.contact = status;
        news_ = true;
      }
    }
    changed_.notify_all();
    if (Rest(kRetryPause)) return;
  }
}

Status JobWatch::ReadStream() {
  const auto context = std::make_shared<grpc::ClientContext>();
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return absl::CancelledError("stopped");
    context_ = context;
  }
  v1::WatchJobsRequest request;
  request.set_name(name_);
  request.set_resume_token(resume_token_);
  const auto reader = connection_.Stream(&v1::JobService::Stub::WatchJobs, *context, request);
  v1::WatchJobsResponse response;
  while (reader->Read(&response)) Take(response);
  return Connection::FromGrpc(reader->Finish());
}

void JobWatch::Take(v1::WatchJobsResponse& response) {
  if (!response.resume_token().empty()) resume_token_ = response.resume_token();
  {
    const std::lock_guard lock(mutex_);
    news_ = news_ || !update_.contact.ok();
    update_.contact = absl::OkStatus();
    if (response.has_job() && response.job().name() == name_) {
      update_.job = std::move(*response.mutable_job());
      news_ = true;
    }
    if (response.item_case() == v1::WatchJobsResponse::kDeleted && response.deleted() == name_) {
      update_.deleted = true;
      news_ = true;
    }
  }
  changed_.notify_all();
}

bool JobWatch::Rest(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [this] { return stopping_; });
  return stopping_;
}

}  // namespace ft::client
