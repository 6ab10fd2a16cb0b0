// A client stream of file pieces: each is written on the spool's thread of large files before the next is read.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>

#include "core/rpc/errors.h"
#include "server/spool/file_receiver.h"
#include "server/spool/spool.h"

namespace ft::api {

// Derive and give Expect() (from the first piece) and Answer().
template <typename Chunk>
class ReceiveStream : public grpc::ServerReadReactor<Chunk>,
                      public std::enable_shared_from_this<ReceiveStream<Chunk>> {
 public:
  explicit ReceiveStream(spool::Spool& spool) : spool_(spool) {}
  void Begin() {
    self_ = this->shared_from_this();
    this->StartRead(&chunk_);
  }
  void OnReadDone(bool ok) override {
    const Status posted = spool_.RunLarge([self = this->shared_from_this(), ok] { self->Take(ok); });
    if (!posted.ok()) this->Finish(rpc::ToGrpc(posted));
  }
  void OnDone() override { self_.reset(); }

 protected:
  virtual StatusOr<spool::ExpectedFile> Expect(const Chunk& first) = 0;
  // Fills the reply: what is there now.
  virtual void Answer(const spool::FileReceiver& receiver) = 0;
  // Told before the sender is.
  virtual void Failed(const Status&) {}

 private:
  void Take(bool ok) {
    Status status;
    if (ok) {
      status = Write();
      if (status.ok()) {
        this->StartRead(&chunk_);
        return;
      }
    }
    if (receiver_ && status.ok()) status = receiver_->Save();
    if (!status.ok()) Failed(status);
    if (receiver_) Answer(*receiver_);
    if (!ok && !receiver_) status = absl::InvalidArgumentError("the stream ended before its first piece");
    receiver_.reset();  // It holds the file's lock, and whoever is told may go on at once.
    this->Finish(rpc::ToGrpc(status));
  }

  Status Write() {
    if (!receiver_) {
      ASSIGN_OR_RETURN(const spool::ExpectedFile expected, Expect(chunk_));
      ASSIGN_OR_RETURN(spool::FileReceiver receiver, spool::FileReceiver::Open(expected));
      receiver_.emplace(std::move(receiver));
    }
    return receiver_->Append(chunk_.offset(), chunk_.data());
  }

  spool::Spool& spool_;
  Chunk chunk_;
  std::optional<spool::FileReceiver> receiver_;
  std::shared_ptr<ReceiveStream> self_;
};

}  // namespace ft::api
