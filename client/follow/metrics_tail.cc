#include "client/follow/metrics_tail.h"

#include <iterator>
#include <utility>

namespace ft::client {
namespace {

constexpr size_t kMaxWaiting = 4096;
constexpr std::chrono::milliseconds kRetryPause{500};

}  // namespace

MetricsTail::MetricsTail(const Connection& connection, std::string job)
    : connection_(connection), job_(std::move(job)), thread_([this] { Run(); }) {}

MetricsTail::~MetricsTail() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (context_ != nullptr) context_->TryCancel();
  }
  changed_.notify_all();
  thread_.join();
}

std::vector<v1::MetricPoint> MetricsTail::Take() {
  std::vector<v1::MetricPoint> taken;
  {
    const std::lock_guard lock(mutex_);
    taken.assign(std::make_move_iterator(points_.begin()), std::make_move_iterator(points_.end()));
    points_.clear();
  }
  changed_.notify_all();
  return taken;
}

bool MetricsTail::complete() const {
  const std::lock_guard lock(mutex_);
  return complete_;
}

void MetricsTail::WaitForEnd(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, timeout, [this] { return complete_ || points_.size() >= kMaxWaiting; });
}

void MetricsTail::Run() {
  while (true) {
    const Status status = ReadStream();
    std::unique_lock lock(mutex_);
    if (stopping_) return;
    // What the watch of the job says about contact is enough; here only an orderly end and a refusal matter.
    if (status.ok() || absl::IsNotFound(status) || absl::IsUnimplemented(status)) {
      complete_ = true;
      changed_.notify_all();
      return;
    }
    changed_.wait_for(lock, kRetryPause, [this] { return stopping_; });
    if (stopping_) return;
  }
}

Status MetricsTail::ReadStream() {
  const auto context = std::make_shared<grpc::ClientContext>();
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return absl::CancelledError("stopped");
    context_ = context;
  }
  v1::StreamMetricsRequest request;
  request.set_job(job_);
  const auto reader = connection_.Stream(&v1::MetricService::Stub::StreamMetrics, *context, request);
  v1::MetricPoint point;
  while (reader->Read(&point)) {
    if (!Put(point)) context->TryCancel();
  }
  return Connection::FromGrpc(reader->Finish());
}

bool MetricsTail::Put(const v1::MetricPoint& point) {
  // Rank 0 speaks for all; after a break the series starts again from its beginning.
  const bool is_old = point.epoch() < last_epoch_ ||
                      (point.epoch() == last_epoch_ && point.record().sequence() <= last_sequence_);
  if (point.rank() != 0 || is_old) return true;
  last_epoch_ = point.epoch();
  last_sequence_ = point.record().sequence();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || points_.size() < kMaxWaiting; });
  if (stopping_) return false;
  points_.push_back(point);
  if (points_.size() >= kMaxWaiting) changed_.notify_all();
  return true;
}

}  // namespace ft::client
