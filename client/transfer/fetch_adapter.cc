#include "client/transfer/fetch_adapter.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "finetune/v1/artifacts.grpc.pb.h"

namespace ft::client {
namespace {

namespace fs = std::filesystem;

// One file while its chunks arrive.
class IncomingFile {
 public:
  static StatusOr<IncomingFile> Start(const fs::path& dir, const v1::FileChunk& chunk) {
    IncomingFile file;
    // Names come from the network: nothing that leads out of the folder.
    const fs::path relative = fs::path(chunk.path()).lexically_normal();
    const bool is_inside = relative.is_relative() && relative.has_filename() && *relative.begin() != ".." &&
                           relative != "." && relative.string() == chunk.path();
    if (!is_inside)
      return absl::DataLossError(StrCat("the coordinator sent a file called '", chunk.path(), "'"));
    file.name_ = chunk.path();
    file.path_ = dir / relative;
    RETURN_IF_ERROR(MakeDirectories(file.path_.parent_path()));
    file.fd_ = UniqueFd(::open(file.path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!file.fd_.valid()) return ErrnoStatus("create", file.path_, errno);
    file.size_ = chunk.size();
    file.sha256_ = chunk.sha256();
    return file;
  }

  Status Append(const v1::FileChunk& chunk) {
    if (chunk.offset() != written_)
      return absl::DataLossError(StrCat(path_.string(), ": a piece is missing"));
    for (std::string_view rest = chunk.data(); !rest.empty();) {
      const ssize_t count = ::write(fd_.get(), rest.data(), rest.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return ErrnoStatus("write", path_, errno);
      rest.remove_prefix(static_cast<size_t>(count));
    }
    hash_.Update(std::string_view(chunk.data()));
    written_ += static_cast<int64_t>(chunk.data().size());
    return absl::OkStatus();
  }

  Status Finish() {
    if (written_ != size_ || Hex(hash_.Finish()) != sha256_) {
      return absl::DataLossError(
          StrCat(path_.string(), " arrived damaged: ", written_, " of ", size_, " bytes; try again"));
    }
    if (::fsync(fd_.get()) != 0) return ErrnoStatus("sync", path_, errno);
    return absl::OkStatus();
  }

  const std::string& name() const { return name_; }

 private:
  std::string name_;
  fs::path path_;
  UniqueFd fd_;
  Sha256 hash_;
  int64_t size_ = 0;
  int64_t written_ = 0;
  std::string sha256_;
};

Status Receive(grpc::ClientReader<v1::FileChunk>& reader, const fs::path& dir) {
  std::optional<IncomingFile> file;
  v1::FileChunk chunk;
  int files = 0;
  while (reader.Read(&chunk)) {
    if (!file.has_value() || (!chunk.path().empty() && chunk.path() != file->name())) {
      if (file.has_value()) RETURN_IF_ERROR(file->Finish());
      ASSIGN_OR_RETURN(file, IncomingFile::Start(dir, chunk));
      ++files;
    }
    RETURN_IF_ERROR(file->Append(chunk));
  }
  RETURN_IF_ERROR(Connection::FromGrpc(reader.Finish()));
  if (file.has_value()) RETURN_IF_ERROR(file->Finish());
  return files > 0 ? absl::OkStatus() : absl::NotFoundError("the coordinator has no adapter of this job");
}

}  // namespace

Status FetchAdapter(Session& session, const v1::Job& job, const fs::path& dir) {
  std::error_code error;
  if (fs::exists(dir, error) && !fs::is_empty(dir, error)) {
    return absl::FailedPreconditionError(StrCat(dir.string(), " is not empty: name a new folder"));
  }
  ASSIGN_OR_RETURN(const Connection* connection, session.Connect());
  // Arrives beside and is renamed when whole.
  const fs::path full = fs::absolute(dir).lexically_normal();
  const fs::path target = full.has_filename() ? full : full.parent_path();
  const fs::path beside =
      target.parent_path() / StrCat(".", target.filename().string(), ".", ::getpid(), ".part");
  RETURN_IF_ERROR(MakeDirectories(beside));
  v1::DownloadAdapterRequest request;
  request.set_job(job.name());
  grpc::ClientContext context;
  const auto reader = connection->Stream(&v1::ArtifactService::Stub::DownloadAdapter, context, request);
  Status status = Receive(*reader, beside);
  context.TryCancel();
  if (status.ok()) {
    fs::remove(target, error);
    fs::rename(beside, target, error);
    if (error) status = ErrnoStatus("rename to", target, error.value());
  }
  if (!status.ok()) fs::remove_all(beside, error);
  return session.Explained(status);
}

}  // namespace ft::client
