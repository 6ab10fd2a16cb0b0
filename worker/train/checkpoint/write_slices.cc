#include "worker/train/checkpoint/write_slices.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <random>
#include <utility>

#include "core/base/file.h"
#include "worker/device/staging.h"
#include "worker/model/weights/safetensors.h"
#include "worker/train/checkpoint/slice_pieces.h"

namespace ft::checkpoint {
namespace {

namespace fs = std::filesystem;

// What rank 0 leaves in the folder for a moment. It is another one each time, so that nobody takes another folder for this one.
constexpr const char* kSign = ".rank0";
using Sign = std::array<char, 16>;

Sign NewSign() {
  Sign sign;
  std::random_device random;
  for (char& letter : sign) letter = static_cast<char>('a' + random() % 26);
  return sign;
}

// By rank, whether it sees rank 0's folder, and may write there.
StatusOr<std::vector<char>> WhoSees(const fs::path& folder, comm::Comm& comm) {
  std::vector<char> sees(static_cast<size_t>(comm.size()), 1);
  if (comm.size() == 1) return sees;
  Sign sign = {};
  if (comm.rank() == 0) {
    sign = NewSign();
    RETURN_IF_ERROR(WriteFileDurably(folder / kSign, {sign.data(), sign.size()}));
  }
  RETURN_IF_ERROR(comm.Broadcast(0, std::as_writable_bytes(std::span(sign))));
  const StatusOr<std::string> read = ReadFile(folder / kSign, sign.size());
  const char mine =
      read.ok() && *read == std::string_view(sign.data(), sign.size()) && ::access(folder.c_str(), W_OK) == 0;
  RETURN_IF_ERROR(
      comm.AllGather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(sees))));
  if (comm.rank() == 0 && ::unlink((folder / kSign).c_str()) != 0)
    return ErrnoStatus("remove", folder / kSign, errno);
  return sees;
}

class SliceWriting {
 public:
  SliceWriting(const SliceFolder& folder, shard::TrainedState& trained, std::vector<char> sees)
      : folder_(folder),
        trained_(trained),
        comm_(trained.comm()),
        slices_(trained.exchange().slices()),
        sees_(std::move(sees)),
        files_(comm_.rank() == 0 ? static_cast<size_t>(slices_.slices()) : 0) {}

  // The ranks write in rounds of a file each, so that none waits for the others longer than that takes.
  StatusOr<std::vector<StoredFile>> Run() {
    for (int round = 0; round < each(); ++round) {
      StoredFile own;
      if (sees_[static_cast<size_t>(comm_.rank())] != 0) {
        const auto read = [this](const shard::Piece& part) { return Read(part); };
        ASSIGN_OR_RETURN(own, Write(SliceOf(comm_.rank(), round), read));
      }
      for (int owner = 0; owner < comm_.size(); ++owner) {
        if (sees_[static_cast<size_t>(owner)] == 0)
          RETURN_IF_ERROR(WriteOthers(SliceOf(owner, round), owner));
      }
      RETURN_IF_ERROR(Collect(round, own));
    }
    return std::move(files_);
  }

 private:
  // A StoredFile as it is sent.
  struct Sent {
    int64_t size = 0;
    std::array<char, 64> sha256 = {};
  };

  int each() const { return slices_.slices() / comm_.size(); }
  int SliceOf(int owner, int round) const { return owner * each() + round; }

  // Answers a part's items, in host memory.
  using Take = std::function<StatusOr<torch::Tensor>(const shard::Piece& part)>;

  StatusOr<StoredFile> Write(int slice, const Take& take) {
    const std::vector<shard::Piece> pieces = PiecesOf(trained_, slices_, slice);
    std::vector<weights::TensorInfo> infos;
    for (const shard::Piece& piece : pieces) infos.push_back(InfoOf(trained_, piece));
    const fs::path file = folder_.path / SliceFileName(slice);
    int64_t size = 0;
    ASSIGN_OR_RETURN(weights::SafetensorsWriter writer,
                     weights::SafetensorsWriter::Create(
                         file, infos, {{"slice", StrCat(slice)}, {"slices", StrCat(slices_.slices())}},
                         [&](int64_t bytes) {
                           size = bytes;
                           if (folder_.progress) folder_.progress(written_ + bytes);
                         }));
    for (const shard::Piece& piece : pieces) {
      RETURN_IF_ERROR(EachPart(piece, [&](const shard::Piece& part) -> Status {
        ASSIGN_OR_RETURN(const torch::Tensor host, take(part));
        return writer.Append(device::HostBytes(host));
      }));
    }
    ASSIGN_OR_RETURN(std::string sha256, writer.Finish());
    written_ += size;
    return StoredFile{SliceFileName(slice), size, std::move(sha256)};
  }

  // Rank 0 writes the file; all take part.
  Status WriteOthers(int slice, int owner) {
    const auto bring = [&](const shard::Piece& part) { return Bring(part, owner); };
    if (comm_.rank() == 0) {
      ASSIGN_OR_RETURN(files_[static_cast<size_t>(slice)], Write(slice, bring));
      return absl::OkStatus();
    }
    for (const shard::Piece& piece : PiecesOf(trained_, slices_, slice))
      RETURN_IF_ERROR(EachPart(piece, [&](const shard::Piece& part) { return bring(part).status(); }));
    return absl::OkStatus();
  }

  // Of this rank.
  StatusOr<torch::Tensor> Read(const shard::Piece& part) {
    ASSIGN_OR_RETURN(const torch::Tensor read, trained_.Read(part));
    return device::Download(read);
  }

  // To rank 0, by an exchange of all ranks unless it has such parts itself.
  StatusOr<torch::Tensor> Bring(const shard::Piece& part, int owner) {
    if (trained_.AllHave(part)) return comm_.rank() == 0 ? Read(part) : torch::Tensor();
    torch::Tensor host = torch::empty({part.items()}, part.type());
    if (comm_.rank() == owner) {
      ASSIGN_OR_RETURN(host, Read(part));
    }
    RETURN_IF_ERROR(comm_.Broadcast(owner, device::HostBytes(host)));
    return host;
  }

  // Tells rank 0 what the ranks wrote in this round.
  Status Collect(int round, const StoredFile& own) {
    Sent mine{.size = own.size};
    own.sha256.copy(mine.sha256.data(), mine.sha256.size());
    std::vector<Sent> all(static_cast<size_t>(comm_.size()));
    RETURN_IF_ERROR(
        comm_.AllGather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all))));
    if (comm_.rank() != 0) return absl::OkStatus();
    for (int owner = 0; owner < comm_.size(); ++owner) {
      if (sees_[static_cast<size_t>(owner)] == 0) continue;
      const Sent& sent = all[static_cast<size_t>(owner)];
      const int slice = SliceOf(owner, round);
      files_[static_cast<size_t>(slice)] = {
          SliceFileName(slice), sent.size, {sent.sha256.data(), sent.sha256.size()}};
    }
    return absl::OkStatus();
  }

  const SliceFolder& folder_;
  shard::TrainedState& trained_;
  comm::Comm& comm_;
  const plan::Slices& slices_;
  const std::vector<char> sees_;   // By rank.
  std::vector<StoredFile> files_;  // By slice; rank 0's.
  int64_t written_ = 0;            // Bytes of files that are whole.
};

}  // namespace

int64_t SliceBytes(const shard::TrainedState& trained) {
  const plan::Slices whole(trained.store().table(), 1);
  int64_t bytes = 0;
  for (const shard::Piece& piece : PiecesOf(trained, whole, 0)) bytes += BytesOf(piece);
  return bytes;
}

StatusOr<std::vector<StoredFile>> WriteSlices(const SliceFolder& folder, shard::TrainedState& trained) {
  ASSIGN_OR_RETURN(std::vector<char> sees, WhoSees(folder.path, trained.comm()));
  return SliceWriting(folder, trained, std::move(sees)).Run();
}

}  // namespace ft::checkpoint
