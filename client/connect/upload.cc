#include "client/connect/upload.h"

#include <algorithm>
#include <span>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "finetune/v1/data.grpc.pb.h"

namespace ft::client {
namespace {

constexpr uint64_t kChunkBytes = 1 << 19;
constexpr int kAttemptsWithoutProgress = 3;
constexpr std::chrono::minutes kUploadTimeout{30};

struct Upload {
  const RandomAccessFile& file;
  std::string sha256;
};

// Sends from `offset` to the end; the answer is how much has arrived.
StatusOr<v1::UploadStatus> Send(const Connection& connection, const Upload& upload, uint64_t offset) {
  v1::DataService::Stub stub(connection.channel());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kUploadTimeout);
  v1::UploadStatus answer;
  const auto writer = stub.Upload(&context, &answer);
  v1::UploadChunk chunk;
  chunk.set_sha256(upload.sha256);
  chunk.set_size(static_cast<int64_t>(upload.file.size()));
  chunk.set_file_name(upload.file.path().filename().string());
  std::string buffer;
  while (offset < upload.file.size()) {
    buffer.resize(std::min(kChunkBytes, upload.file.size() - offset));
    const Status read = upload.file.ReadAt(offset, std::as_writable_bytes(std::span(buffer)));
    if (!read.ok()) {
      context.TryCancel();
      writer->Finish();
      return read;
    }
    chunk.set_offset(static_cast<int64_t>(offset));
    chunk.set_data(buffer);
    if (!writer->Write(chunk)) break;  // Finish says why.
    offset += buffer.size();
    chunk.Clear();
  }
  writer->WritesDone();
  const Status status = Connection::FromGrpc(writer->Finish());
  if (!status.ok()) return status;
  return answer;
}

Status CheckSize(const RandomAccessFile& file) {
  if (file.size() == 0) return absl::InvalidArgumentError(StrCat(file.path().string(), " is empty"));
  if (file.size() <= kMaxUploadBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat(file.path().string(), " has ", file.size(), " bytes and at most ", kMaxUploadBytes,
             " can be uploaded: put it on the coordinator's machine and name it there"));
}

}  // namespace

StatusOr<std::string> UploadFile(const Connection& connection, const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const RandomAccessFile file, RandomAccessFile::Open(path));
  RETURN_IF_ERROR(CheckSize(file));
  ASSIGN_OR_RETURN(const Digest digest, Sha256OfFile(path));
  const Upload upload{.file = file, .sha256 = Hex(digest)};
  v1::GetUploadRequest request;
  request.set_sha256(upload.sha256);
  int64_t furthest = -1;
  Status last;
  for (int attempts = 0; attempts < kAttemptsWithoutProgress; ++attempts) {
    ASSIGN_OR_RETURN(v1::UploadStatus state, connection.Call(&v1::DataService::Stub::GetUpload, request));
    if (state.received() > furthest) attempts = 0;
    furthest = std::max(furthest, state.received());
    const bool complete = state.received() == static_cast<int64_t>(file.size()) && !state.source().empty();
    if (complete) return state.source();
    const auto offset = static_cast<uint64_t>(std::max<int64_t>(0, state.received()));
    const StatusOr<v1::UploadStatus> sent = Send(connection, upload, std::min(offset, file.size()));
    if (sent.ok() && !sent->source().empty()) return sent->source();
    last = sent.status();
    if (sent.ok()) {
      last = absl::DataLossError(
          StrCat("the coordinator has ", sent->received(), " of ", file.size(), " bytes"));
    }
    if (!sent.ok() && !absl::IsUnavailable(last)) break;
  }
  return WithContext(last, StrCat("upload of ", path.string()));
}

}  // namespace ft::client
