#include "worker/agent/artifact_push.h"

#include <algorithm>

#include "core/base/sha256.h"

namespace ft::agent {
namespace {

constexpr uint64_t kPieceBytes = 256 << 10;

class Push : public grpc::ClientWriteReactor<wpb::ArtifactChunk> {
 public:
  Push(Client& client, RandomAccessFile file, std::function<void(const Status&)> done)
      : client_(client), file_(std::move(file)), done_(std::move(done)) {}

  void Start(const ArtifactFile& what, const std::string& digest) {
    chunk_.set_session_id(what.session_id);
    *chunk_.mutable_ref() = what.ref;
    chunk_.set_path(what.name);
    chunk_.set_sha256(digest);
    chunk_.set_size(static_cast<int64_t>(file_.size()));
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(10));
    client_.stub().async()->PushArtifact(&context_, &response_, this);
    FillPiece();
    StartWrite(&chunk_);
    StartCall();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return;  // OnDone says why.
    offset_ += chunk_.data().size();
    if (offset_ >= file_.size() || !FillPiece()) {
      StartWritesDone();
      return;
    }
    StartWrite(&chunk_);
  }

  void OnDone(const grpc::Status& grpc_status) override {
    Status status = rpc::FromGrpc(grpc_status);
    if (status.ok() && !response_.complete())
      status = absl::UnavailableError("the file did not arrive whole");
    boost::asio::post(client_.context(), [done = std::move(done_), status] { done(status); });
    delete this;
  }

 private:
  bool FillPiece() {
    std::string data(std::min<uint64_t>(kPieceBytes, file_.size() - offset_), '\0');
    if (!file_.ReadAt(offset_, std::as_writable_bytes(std::span(data))).ok()) return false;
    chunk_.set_offset(static_cast<int64_t>(offset_));
    chunk_.set_data(std::move(data));
    return true;
  }

  Client& client_;
  RandomAccessFile file_;
  std::function<void(const Status&)> done_;
  grpc::ClientContext context_;
  wpb::ArtifactChunk chunk_;
  wpb::PushArtifactResponse response_;
  uint64_t offset_ = 0;
};

void Open(Client& client, const ArtifactFile& what, std::function<void(const Status&)> done, const std::stop_token& stop) {
  auto file = RandomAccessFile::Open(what.path);
  const auto digest = file.ok() ? Sha256OfFile(what.path, stop) : file.status();
  if (!digest.ok()) {
    boost::asio::post(client.context(), [done = std::move(done), status = digest.status()] { done(status); });
    return;
  }
  // Deletes itself in OnDone, which gRPC calls exactly once.
  (new Push(client, *std::move(file), std::move(done)))->Start(what, Hex(*digest));
}

}  // namespace

void PushArtifact(Client& client, FileThread& files, ArtifactFile file, std::function<void(const Status&)> done) {
  const Status queued = files.Run([&client, file = std::move(file), done](const std::stop_token& stop) {
    Open(client, file, done, stop);
  });
  if (!queued.ok()) boost::asio::post(client.context(), [done = std::move(done), queued] { done(queued); });
}

}  // namespace ft::agent
