#include "worker/model/weights/pickle.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "core/base/check.h"
#include "worker/model/weights/unpickler.h"

namespace ft::weights {
namespace {

// Says what the file is when it is no archive. The old format of torch.save is a row of bare pickles.
Status CheckKind(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const RandomAccessFile file, RandomAccessFile::Open(path));
  char start[2] = {};
  if (file.size() >= sizeof(start)) RETURN_IF_ERROR(file.ReadAt(0, std::as_writable_bytes(std::span(start))));
  if (start[0] == 'P' && start[1] == 'K') return absl::OkStatus();
  if (static_cast<unsigned char>(start[0]) == 0x80) {
    return absl::InvalidArgumentError(
        StrCat(path.string(), " is in the format that torch.save used before PyTorch 1.6; ",
               "load it with PyTorch and save it again, best as model.safetensors"));
  }
  return absl::InvalidArgumentError(
      StrCat(path.string(), " is no file of torch.save: it does not begin as a zip archive"));
}

bool IsRowMajor(const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return true;
  int64_t expected = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

// The place of a storage, whose entry must have exactly the bytes that the dictionary declares.
StatusOr<uint64_t> StorageOffset(const StoredZip& zip, const std::string& entry,
                                 const PickledTensor& tensor) {
  ASSIGN_OR_RETURN(const StoredZip::StoredRange range, zip.Locate(entry));
  ASSIGN_OR_RETURN(const uint64_t bytes, StoredBytes(tensor.info.dtype, tensor.storage_elements));
  if (range.size != bytes) {
    return absl::InvalidArgumentError(
        StrCat("its storage should have ", bytes, " bytes, the entry '", entry, "' has ", range.size));
  }
  return range.offset;
}

}  // namespace

StatusOr<std::unique_ptr<TorchFile>> TorchFile::Open(const std::filesystem::path& path) {
  RETURN_IF_ERROR(CheckKind(path));
  ASSIGN_OR_RETURN(StoredZip zip, StoredZip::Open(path));
  std::unique_ptr<TorchFile> opened(new TorchFile(std::move(zip)));
  RETURN_IF_ERROR(WithContext(opened->ReadDictionary(), path.string()));
  return opened;
}

Status TorchFile::ReadDictionary() {
  ASSIGN_OR_RETURN(const std::string pickle_name, zip_.FindInFolder("data.pkl"));
  const std::string folder = pickle_name.substr(0, pickle_name.find('/') + 1);
  if (zip_.Contains(folder + "byteorder")) {
    ASSIGN_OR_RETURN(const std::string order, zip_.Read(folder + "byteorder", 16));
    if (order != "little") {
      return absl::InvalidArgumentError(StrCat("its byte order is '", order, "', only little is read"));
    }
  }
  ASSIGN_OR_RETURN(const std::string pickle, zip_.Read(pickle_name, kMaxPickleBytes));
  ASSIGN_OR_RETURN(std::vector<PickledTensor> tensors, UnpickleStateDict(pickle));
  for (PickledTensor& tensor : tensors) {
    const StatusOr<uint64_t> storage = StorageOffset(zip_, folder + "data/" + tensor.storage, tensor);
    RETURN_IF_ERROR(WithContext(storage.status(), StrCat("tensor '", tensor.info.name, "'")));
    ASSIGN_OR_RETURN(const uint64_t skipped, StoredBytes(tensor.info.dtype, tensor.offset));
    View view{*storage + skipped, {}};
    if (!IsRowMajor(tensor.info.shape, tensor.strides)) view.strides = std::move(tensor.strides);
    views_.push_back(std::move(view));
    RETURN_IF_ERROR(table_.Add(std::move(tensor.info)));
  }
  return absl::OkStatus();
}

Status TorchFile::ReadBytes(const TensorInfo& info, std::span<std::byte> out) const {
  const std::optional<size_t> index = table_.IndexOf(info.name);
  if (!index) {
    return absl::NotFoundError(StrCat(zip_.file().path().string(), ": no tensor '", info.name, "'"));
  }
  const TensorInfo& own = table_.tensors()[*index];
  const View& view = views_[*index];
  ASSIGN_OR_RETURN(const uint64_t bytes, StoredBytes(own.dtype, own.elements()));
  FT_CHECK(out.size() == bytes) << info.name << ": " << out.size() << " of " << bytes;
  if (bytes == 0) return absl::OkStatus();
  const Status status = view.strides.empty() ? zip_.file().ReadAt(view.offset, out) : Gather(own, view, out);
  return WithContext(status, StrCat("tensor '", info.name, "'"));
}

// Reads the stretch of the storage that the view covers (Open has checked that it lies within), then picks
// the elements.
Status TorchFile::Gather(const TensorInfo& info, const View& view, std::span<std::byte> out) const {
  ASSIGN_OR_RETURN(const uint64_t element_bytes, StoredBytes(info.dtype, 1));
  uint64_t last = 0;
  for (size_t i = 0; i < info.shape.size(); ++i) {
    last += static_cast<uint64_t>((info.shape[i] - 1) * view.strides[i]);
  }
  std::vector<std::byte> stretch((last + 1) * element_bytes);
  RETURN_IF_ERROR(zip_.file().ReadAt(view.offset, stretch));
  std::vector<int64_t> position(info.shape.size(), 0);
  uint64_t source = 0;  // Element of the stretch at `position`.
  for (uint64_t to = 0; to < out.size(); to += element_bytes) {
    std::memcpy(out.data() + to, stretch.data() + source * element_bytes, element_bytes);
    for (size_t i = position.size(); i-- > 0;) {  // Counts up, the innermost dimension first.
      source += static_cast<uint64_t>(view.strides[i]);
      if (++position[i] < info.shape[i]) break;
      source -= static_cast<uint64_t>(info.shape[i] * view.strides[i]);
      position[i] = 0;
    }
  }
  return absl::OkStatus();
}

}  // namespace ft::weights
