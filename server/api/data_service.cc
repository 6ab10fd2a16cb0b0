#include "server/api/data_service.h"

#include "server/api/receive_stream.h"

namespace ft::api {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPart = ".part";
constexpr int64_t kMaxUpload = int64_t{1} << 30;

bool CleanDigest(const std::string& digest) {
  return digest.size() == 64 && digest.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// The file's last part, made harmless: it becomes part of a path.
StatusOr<std::string> CleanName(const std::string& name) {
  const std::string last = fs::path(name).filename().string();
  if (last.empty() || last == "." || last == ".." || last.size() > 200 || last.ends_with(kPart) ||
      last.ends_with(".part.state")) {
    return absl::InvalidArgumentError(StrCat("file name '", name, "' cannot be kept: rename the file"));
  }
  return last;
}

std::string SourceOf(const std::string& digest, const std::string& name) {
  return StrCat("upload://", digest, "/", name);
}

class UploadStream : public ReceiveStream<pb::UploadChunk> {
 public:
  UploadStream(spool::Spool& spool, pb::UploadStatus* reply)
      : ReceiveStream(spool), dir_(spool.UploadDir()), reply_(reply) {}

 protected:
  StatusOr<spool::ExpectedFile> Expect(const pb::UploadChunk& first) override {
    if (!CleanDigest(first.sha256())) {
      return absl::InvalidArgumentError("sha256 must be 64 lower-case hexadecimal digits");
    }
    ASSIGN_OR_RETURN(name_, CleanName(first.file_name()));
    digest_ = first.sha256();
    return spool::ExpectedFile{dir_ / digest_ / name_, digest_, first.size(), kMaxUpload};
  }
  void Answer(const spool::FileReceiver& receiver) override {
    reply_->set_sha256(digest_);
    reply_->set_received(receiver.received());
    if (receiver.complete()) reply_->set_source(SourceOf(digest_, name_));
  }

 private:
  const fs::path dir_;
  pb::UploadStatus* reply_;
  std::string digest_;
  std::string name_;
};

}  // namespace

grpc::ServerUnaryReactor* DataService::GetUpload(grpc::CallbackServerContext* context,
                                                 const pb::GetUploadRequest* request,
                                                 pb::UploadStatus* reply) {
  const UnaryCall call(context, "DataService/GetUpload");
  if (!CleanDigest(request->sha256())) {
    call.Finish(absl::InvalidArgumentError("sha256 must be 64 lower-case hexadecimal digits"));
    return call.reactor();
  }
  const std::string digest = request->sha256();
  const fs::path dir = backend_.spool.UploadDir() / digest;
  const Status posted = backend_.spool.RunLarge([call, reply, digest, dir] {
    reply->set_sha256(digest);
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(dir, error)) {
      const std::string name = entry.path().filename().string();
      if (name.ends_with(kPart)) {
        const fs::path whole = entry.path().string().substr(0, entry.path().string().size() - kPart.size());
        if (reply->source().empty()) reply->set_received(spool::FileReceiver::SavedBytes(whole));
      } else if (!name.ends_with(".part.state")) {
        reply->set_received(static_cast<int64_t>(fs::file_size(entry.path(), error)));
        reply->set_source(SourceOf(digest, name));
      }
    }
    call.Finish(absl::OkStatus());
  });
  if (!posted.ok()) call.Finish(posted);
  return call.reactor();
}

grpc::ServerReadReactor<pb::UploadChunk>* DataService::Upload(grpc::CallbackServerContext*,
                                                              pb::UploadStatus* reply) {
  auto stream = std::make_shared<UploadStream>(backend_.spool, reply);
  stream->Begin();
  return stream.get();
}

}  // namespace ft::api
