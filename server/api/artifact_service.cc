#include "server/api/artifact_service.h"

#include <algorithm>

#include "core/base/sha256.h"
#include "server/api/follow_stream.h"

namespace ft::api {
namespace {

namespace fs = std::filesystem;

constexpr size_t kChunkBytes = 256 << 10;

class AdapterStream : public FollowStream<pb::FileChunk> {
 public:
  AdapterStream(spool::Spool& spool, fs::path dir) : FollowStream(spool), dir_(std::move(dir)) {}

 protected:
  StatusOr<std::deque<pb::FileChunk>> Read(bool* complete) override {
    if (!listed_) RETURN_IF_ERROR(ListFiles());
    std::deque<pb::FileChunk> chunks;
    if (next_ == files_.size()) {
      *complete = true;
      return chunks;
    }
    ASSIGN_OR_RETURN(const RandomAccessFile file, RandomAccessFile::Open(dir_ / files_[next_]));
    pb::FileChunk& chunk = chunks.emplace_back();
    chunk.set_path(files_[next_].generic_string());
    chunk.set_offset(static_cast<int64_t>(offset_));
    chunk.set_size(static_cast<int64_t>(file.size()));
    if (offset_ == 0) {
      ASSIGN_OR_RETURN(const Digest digest, Sha256OfFile(file.path()));
      digest_ = Hex(digest);
    }
    chunk.set_sha256(digest_);
    std::string data(std::min<uint64_t>(kChunkBytes, file.size() - offset_), '\0');
    RETURN_IF_ERROR(file.ReadAt(offset_, std::as_writable_bytes(std::span(data))));
    offset_ += data.size();
    if (offset_ == file.size()) {
      ++next_;
      offset_ = 0;
    }
    chunk.set_data(std::move(data));
    return chunks;
  }

 private:
  Status ListFiles() {
    listed_ = true;
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(dir_, error)) {
      if (entry.is_regular_file()) files_.push_back(entry.path().lexically_relative(dir_));
    }
    std::sort(files_.begin(), files_.end());
    if (!files_.empty()) return absl::OkStatus();
    return rpc::WithReason(absl::NotFoundError("this job's adapter is not on the coordinator"),
                           pb::ARTIFACT_NOT_FOUND);
  }

  const fs::path dir_;
  bool listed_ = false;
  std::vector<fs::path> files_;
  size_t next_ = 0;
  uint64_t offset_ = 0;
  std::string digest_;
};

}  // namespace

grpc::ServerUnaryReactor* ArtifactService::ListCheckpoints(grpc::CallbackServerContext* context,
                                                           const pb::ListCheckpointsRequest* request,
                                                           pb::ListCheckpointsResponse* reply) {
  const UnaryCall call(context, "ArtifactService/ListCheckpoints");
  const state::Snapshot state = backend_.loop.published();
  const state::JobPtr job = state::FindJob(*state, request->job());
  if (job != nullptr) {
    for (const state::CheckpointPtr& row : state->checkpoints.Under(job->job_id())) {
      *reply->add_checkpoints() = row->checkpoint();
    }
  }
  call.Finish(job == nullptr ? NoSuchJob(request->job()) : absl::OkStatus());
  return call.reactor();
}

grpc::ServerWriteReactor<pb::FileChunk>* ArtifactService::DownloadAdapter(
    grpc::CallbackServerContext*, const pb::DownloadAdapterRequest* request) {
  const state::JobPtr job = state::FindJob(*backend_.loop.published(), request->job());
  const fs::path dir =
      job == nullptr ? fs::path() : backend_.spool.AdapterDir(job->job_id(), job->job().epoch());
  auto stream = std::make_shared<AdapterStream>(backend_.spool, dir);
  stream->Hold();
  if (job == nullptr) {
    stream->End(NoSuchJob(request->job()));
  } else if (job->job().state() != pb::SUCCEEDED) {
    stream->End(rpc::WithReason(
        absl::NotFoundError(StrCat("job ", request->job(), " is ", pb::JobState_Name(job->job().state()),
                                   ": its adapter is there once it is SUCCEEDED")),
        pb::ARTIFACT_NOT_FOUND));
  } else {
    stream->Kick();
  }
  return stream.get();
}

}  // namespace ft::api
