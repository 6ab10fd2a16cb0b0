#include "worker/node/agent/artifact_push.h"

#include <algorithm>
#include <memory>

#include "core/base/sha256.h"

namespace ft::agent {
namespace {

constexpr uint64_t kPieceBytes = 256 << 10;
// A call carries so much, and has so long for it: what a slow link or a lost one costs is at most one slice.
constexpr uint64_t kSliceBytes = 64 << 20;
constexpr std::chrono::minutes kSliceTimeout{10};

// What is sent, and what was found out about it.
struct Source {
  ArtifactFile what;
  RandomAccessFile file;
  std::string digest;
};

using Progress = std::function<void(const Status&, const wpb::PushArtifactResponse&)>;

// One call: the bytes from `begin` to `end`. An empty range asks how much is there.
class Slice : public grpc::ClientWriteReactor<wpb::ArtifactChunk> {
 public:
  struct Range {
    uint64_t begin, end;
  };
  Slice(Client& client, std::shared_ptr<const Source> source, Range range, Progress done)
      : client_(client),
        source_(std::move(source)),
        offset_(range.begin),
        end_(range.end),
        done_(std::move(done)) {}

  void Start() {
    chunk_.set_session_id(source_->what.session_id);
    *chunk_.mutable_ref() = source_->what.ref;
    chunk_.set_path(source_->what.name);
    chunk_.set_sha256(source_->digest);
    chunk_.set_size(static_cast<int64_t>(source_->file.size()));
    context_.set_deadline(std::chrono::system_clock::now() + kSliceTimeout);
    client_.stub().async()->PushArtifact(&context_, &response_, this);
    FillPiece();
    StartWrite(&chunk_);
    StartCall();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return;  // OnDone says why.
    offset_ += chunk_.data().size();
    if (offset_ >= end_ || !FillPiece()) {
      StartWritesDone();
      return;
    }
    StartWrite(&chunk_);
  }

  void OnDone(const grpc::Status& status) override {
    boost::asio::post(client_.context(), [done = std::move(done_), status = rpc::FromGrpc(status),
                                          response = std::move(response_)] { done(status, response); });
    delete this;
  }

 private:
  bool FillPiece() {
    std::string data(std::min<uint64_t>(kPieceBytes, end_ - offset_), '\0');
    if (!source_->file.ReadAt(offset_, std::as_writable_bytes(std::span(data))).ok()) return false;
    chunk_.set_offset(static_cast<int64_t>(offset_));
    chunk_.set_data(std::move(data));
    return true;
  }

  Client& client_;
  const std::shared_ptr<const Source> source_;
  uint64_t offset_;
  const uint64_t end_;
  Progress done_;
  grpc::ClientContext context_;
  wpb::ArtifactChunk chunk_;
  wpb::PushArtifactResponse response_;
};

// Deletes itself in OnDone, which gRPC calls exactly once.
void Send(Client& client, std::shared_ptr<const Source> source, Slice::Range range, Progress done) {
  (new Slice(client, std::move(source), range, std::move(done)))->Start();
}

// Sends what the coordinator has not, slice by slice. On the loop's thread.
void SendRest(Client& client, std::shared_ptr<const Source> source, uint64_t begin,
              std::function<void(const Status&)> done) {
  const uint64_t size = source->file.size();
  const uint64_t end = std::min(size, begin + kSliceBytes);
  Send(client, source, {begin, end},
       [&client, source, begin, end, size, done = std::move(done)](
           const Status& status, const wpb::PushArtifactResponse& response) {
         const auto received = static_cast<uint64_t>(std::max<int64_t>(0, response.received()));
         if (!status.ok() || response.complete()) {
           done(status);
         } else if (received >= end && end < size) {
           SendRest(client, source, end, done);
         } else {
           done(absl::UnavailableError(
               StrCat(source->what.name, ": ", received, " of ", end, " bytes arrived")));
         }
       });
}

void Ask(Client& client, std::shared_ptr<const Source> source, std::function<void(const Status&)> done) {
  Send(client, source, {0, 0},
       [&client, source, done = std::move(done)](const Status& status,
                                                 const wpb::PushArtifactResponse& response) {
         if (!status.ok() || response.complete()) {
           done(status);
           return;
         }
         const auto received = static_cast<uint64_t>(std::max<int64_t>(0, response.received()));
         SendRest(client, source, std::min(received, source->file.size()), done);
       });
}

void Open(Client& client, const ArtifactFile& what, std::function<void(const Status&)> done,
          const std::stop_token& stop) {
  auto file = RandomAccessFile::Open(what.path);
  StatusOr<std::string> digest = what.sha256;
  if (!file.ok()) digest = file.status();
  if (digest.ok() && digest->empty()) {
    const auto made = Sha256OfFile(what.path, stop);
    digest = made.ok() ? StatusOr<std::string>(Hex(*made)) : made.status();
  }
  boost::asio::post(
      client.context(), [&client, what, file = std::make_shared<StatusOr<RandomAccessFile>>(std::move(file)),
                         digest, done = std::move(done)] {
        if (!digest.ok()) {
          done(digest.status());
          return;
        }
        what.on_digest(*digest);
        Ask(client, std::make_shared<const Source>(Source{what, *std::move(*file), *digest}), done);
      });
}

}  // namespace

void PushArtifact(Client& client, FileThread& files, ArtifactFile file,
                  std::function<void(const Status&)> done) {
  const Status queued = files.Run([&client, file = std::move(file), done](const std::stop_token& stop) {
    Open(client, file, done, stop);
  });
  if (!queued.ok()) boost::asio::post(client.context(), [done = std::move(done), queued] { done(queued); });
}

}  // namespace ft::agent
