#include "server/api/log_service.h"

#include <algorithm>

#include "server/api/follow_stream.h"

namespace ft::api {
namespace {

class LogStream : public FollowStream<pb::LogChunk> {
 public:
  LogStream(Backend& backend, pb::StreamLogsRequest request, std::string job_id)
      : FollowStream(backend.spool),
        backend_(backend),
        request_(std::move(request)),
        job_id_(std::move(job_id)) {}

 protected:
  StatusOr<std::deque<pb::LogChunk>> Read(bool* complete) override {
    const state::JobPtr job = backend_.loop.published()->jobs.Find(job_id_);
    const int64_t newest = job == nullptr ? epoch_ : job->job().epoch();
    const bool ended = job == nullptr || state::IsTerminal(job->job().state());
    if (epoch_ == 0) epoch_ = request_.epoch() > 0 ? request_.epoch() : newest;
    std::deque<pb::LogChunk> chunks;
    for (const int32_t rank : backend_.spool.Ranks(job_id_, epoch_)) {
      if (request_.rank() >= 0 && rank != request_.rank()) continue;
      for (const char* stream : {"stdout", "stderr"}) RETURN_IF_ERROR(ReadStream(rank, stream, &chunks));
    }
    if (!chunks.empty()) return chunks;
    if (!request_.follow()) {
      *complete = true;
    } else if (request_.epoch() == 0 && epoch_ < newest) {
      // The gang was restarted: go on with the next attempt.
      ++epoch_;
      offsets_.clear();
    } else {
      *complete = ended || epoch_ < newest;
    }
    return chunks;
  }

 private:
  Status ReadStream(int32_t rank, const std::string& stream, std::deque<pb::LogChunk>* chunks) {
    spool::LogRead read{job_id_, epoch_, rank, stream, 0};
    const auto key = std::make_pair(rank, stream);
    if (!offsets_.contains(key)) {
      const int64_t size = backend_.spool.LogSize(read);
      offsets_[key] = request_.tail_bytes() > 0 ? std::max<int64_t>(0, size - request_.tail_bytes()) : 0;
    }
    int64_t& offset = offsets_[key];
    read.offset = offset;
    ASSIGN_OR_RETURN(std::string data, backend_.spool.ReadLog(read));
    if (data.empty()) return absl::OkStatus();
    pb::LogChunk& chunk = chunks->emplace_back();
    chunk.set_epoch(epoch_);
    chunk.set_rank(rank);
    chunk.set_stream(stream);
    chunk.set_offset(offset);
    offset += static_cast<int64_t>(data.size());
    chunk.set_data(std::move(data));
    return absl::OkStatus();
  }

  Backend& backend_;
  const pb::StreamLogsRequest request_;
  const std::string job_id_;
  int64_t epoch_ = 0;
  std::map<std::pair<int32_t, std::string>, int64_t> offsets_;
};

}  // namespace

grpc::ServerWriteReactor<pb::LogChunk>* LogService::StreamLogs(grpc::CallbackServerContext*,
                                                               const pb::StreamLogsRequest* request) {
  const state::JobPtr job = state::FindJob(*backend_.loop.published(), request->job());
  auto stream = std::make_shared<LogStream>(backend_, *request, job == nullptr ? "" : job->job_id());
  stream->Hold();
  if (job == nullptr) {
    stream->End(NoSuchJob(request->job()));
  } else {
    stream->Kick();
  }
  return stream.get();
}

}  // namespace ft::api
