#include "server/api/metric_service.h"

#include "core/series/series.h"
#include "server/api/follow_stream.h"

namespace ft::api {
namespace {

// gRPC messages are bounded; a longer series is asked for in ranges of steps, or streamed.
constexpr size_t kMaxPoints = 20'000;

class SeriesStream : public FollowStream<pb::MetricPoint> {
 public:
  SeriesStream(Backend& backend, std::string job_id, int64_t after_step)
      : FollowStream(backend.spool), backend_(backend), job_id_(std::move(job_id)), after_step_(after_step) {}

 protected:
  StatusOr<std::deque<pb::MetricPoint>> Read(bool* complete) override {
    const state::JobPtr job = backend_.loop.published()->jobs.Find(job_id_);
    const int64_t newest = job == nullptr ? cursor_.epoch : std::max<int64_t>(1, job->job().epoch());
    const bool ended = job == nullptr || state::IsTerminal(job->job().state());
    std::vector<pb::MetricPoint> points;
    const uint64_t before = cursor_.offset;
    if (!started_) {
      started_ = true;
      ASSIGN_OR_RETURN(points, backend_.spool.Series(job_id_, newest, &cursor_));
    } else {
      ASSIGN_OR_RETURN(points, backend_.spool.NextPoints(job_id_, &cursor_));
    }
    std::deque<pb::MetricPoint> messages;
    for (pb::MetricPoint& point : points) {
      if (after_step_ == 0 || series::StepOf(point.record()) > after_step_)
        messages.push_back(std::move(point));
    }
    if (messages.empty() && cursor_.offset == before) {
      if (cursor_.epoch < newest) {
        cursor_ = {cursor_.epoch + 1, 0};
      } else {
        *complete = ended;
      }
    }
    return messages;
  }

 private:
  Backend& backend_;
  const std::string job_id_;
  const int64_t after_step_;
  spool::SeriesCursor cursor_;
  bool started_ = false;
};

}  // namespace

grpc::ServerUnaryReactor* MetricService::QueryMetrics(grpc::CallbackServerContext* context,
                                                      const pb::QueryMetricsRequest* request,
                                                      pb::QueryMetricsResponse* reply) {
  const UnaryCall call(context, "MetricService/QueryMetrics");
  const state::JobPtr job = state::FindJob(*backend_.loop.published(), request->job());
  if (job == nullptr) {
    call.Finish(NoSuchJob(request->job()));
    return call.reactor();
  }
  spool::Spool& spool = backend_.spool;
  const int64_t first = request->first_step();
  const int64_t last = request->last_step() == 0 ? INT64_MAX : request->last_step();
  const Status posted = spool.Run([&spool, call, reply, job, first, last] {
    spool::SeriesCursor cursor;
    auto points = spool.Series(job->job_id(), job->job().epoch(), &cursor);
    Status status = points.status();
    if (points.ok()) {
      for (pb::MetricPoint& point : *points) {
        const int64_t step = series::StepOf(point.record());
        if (step >= first && step <= last) *reply->add_points() = std::move(point);
      }
      if (static_cast<size_t>(reply->points_size()) > kMaxPoints) {
        status = absl::OutOfRangeError(StrCat("the job has ", reply->points_size(),
                                              " points in that range, at most ", kMaxPoints,
                                              " fit an answer: ask for fewer steps, or stream them"));
      }
    }
    call.Finish(status);
  });
  if (!posted.ok()) call.Finish(posted);
  return call.reactor();
}

grpc::ServerWriteReactor<pb::MetricPoint>* MetricService::StreamMetrics(
    grpc::CallbackServerContext*, const pb::StreamMetricsRequest* request) {
  const state::JobPtr job = state::FindJob(*backend_.loop.published(), request->job());
  auto stream =
      std::make_shared<SeriesStream>(backend_, job == nullptr ? "" : job->job_id(), request->after_step());
  stream->Hold();
  if (job == nullptr) {
    stream->End(NoSuchJob(request->job()));
  } else {
    stream->Kick();
  }
  return stream.get();
}

}  // namespace ft::api
