#include "worker/model/params/quantised_base.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/free_space.h"
#include "core/base/sha256.h"
#include "nlohmann/json.hpp"
#include "worker/device/staging.h"
#include "worker/model/params/int8_slot.h"
#include "worker/model/params/nf4_slot.h"
#include "worker/model/params/read_nf4.h"
#include "worker/model/weights/tensor_table.h"

namespace ft::params {
namespace {

namespace fs = std::filesystem;
using weights::DType;

// Of the file's layout and of what quantising computes: a change of either is another file.
constexpr int kVersion = 1;
constexpr uint64_t kMaxDigestBytes = 100'000'000;
constexpr auto kLook = std::chrono::milliseconds(200);  // For another's file while it is being built.
constexpr auto kLongestBuild = std::chrono::minutes(30);
constexpr int64_t kNf4Block = 64, kNestedBlock = 256;

const char* NameOf(BaseKind kind) { return kind == BaseKind::kNf4 ? "nf4" : "int8"; }

// Jobs that train some of the matrices have a base of the others.
fs::path FileOf(const QuantisedBaseOptions& options, BaseKind kind,
                const std::vector<StoredMatrix>& matrices) {
  std::string key = StrCat(options.model_sha256, "\n", NameOf(kind), "\n", kVersion, "\n");
  for (const StoredMatrix& matrix : matrices) StrAppend(&key, matrix.name, "\n");
  return options.folder / StrCat(Hex(Sha256Of(key)), ".safetensors");
}

fs::path Beside(fs::path file, const char* extension) { return file.replace_extension(extension); }

int64_t Items(int64_t elements, int64_t each) { return (elements + each - 1) / each; }

// The tensors of the file that a matrix is kept in.
std::vector<weights::TensorInfo> PartsOf(const StoredMatrix& matrix, BaseKind kind) {
  const auto count = static_cast<int64_t>(matrix.info->elements());
  if (kind == BaseKind::kInt8) {
    return {{matrix.name + ".codes", DType::kI8, matrix.info->shape},
            {matrix.name + ".absmax", DType::kF32, {matrix.info->shape[0]}}};
  }
  const int64_t blocks = Items(count, kNf4Block);
  return {{matrix.name + ".packed", DType::kU8, {Items(count, 2)}},
          {matrix.name + ".absmax_codes", DType::kU8, {blocks}},
          {matrix.name + ".nested_absmax", DType::kF32, {Items(blocks, kNestedBlock)}},
          {matrix.name + ".offset", DType::kF32, {1}}};
}

std::vector<weights::TensorInfo> PartsOf(const std::vector<StoredMatrix>& matrices, BaseKind kind) {
  std::vector<weights::TensorInfo> infos;
  for (const StoredMatrix& matrix : matrices) {
    for (weights::TensorInfo& info : PartsOf(matrix, kind)) infos.push_back(std::move(info));
  }
  return infos;
}

std::string DigestOf(std::span<const std::byte> bytes) {
  return Hex(Sha256Of(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())));
}

// Without its digests nobody takes the file for one.
void Forget(const fs::path& file) {
  std::error_code ignored;
  fs::remove(Beside(file, ".json"), ignored);
}

StatusOr<std::vector<torch::Tensor>> Quantised(const weights::TensorSource& source,
                                               const StoredMatrix& matrix, BaseKind kind) {
  if (kind == BaseKind::kInt8) {
    ASSIGN_OR_RETURN(const torch::Tensor values, ReadTensor(source, *matrix.info));
    ops::Int8Tensor tensor = ops::QuantiseInt8(values);
    return std::vector<torch::Tensor>{tensor.codes_OI, tensor.absmax_O};
  }
  ASSIGN_OR_RETURN(const ops::Nf4Tensor tensor, ReadNf4(source, *matrix.info));
  return std::vector<torch::Tensor>{tensor.packed, tensor.absmax_codes, tensor.nested_absmax,
                                    torch::full({1}, tensor.offset)};
}

uint64_t BytesOf(const std::vector<weights::TensorInfo>& infos) {
  uint64_t bytes = 0;
  for (const weights::TensorInfo& info : infos) {
    const StatusOr<uint64_t> of = weights::StoredBytes(info.dtype, info.elements());
    FT_CHECK(of.ok());
    bytes += *of;
  }
  return bytes;
}

Status CheckRoom(const fs::path& folder, uint64_t bytes) {
  ASSIGN_OR_RETURN(const uint64_t free, FreeBytes(folder));
  // A node's disk is for jobs first.
  if (free / 2 >= bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      StrCat("it needs ", bytes, " bytes and ", free, " are free in ", folder.string()));
}

// Writes the file, and its digests last: with them it is whole.
Status Build(const fs::path& file, const QuantisedBaseOptions& options, BaseKind kind,
             const weights::TensorSource& source, const std::vector<StoredMatrix>& matrices) {
  const std::vector<weights::TensorInfo> infos = PartsOf(matrices, kind);
  RETURN_IF_ERROR(CheckRoom(options.folder, BytesOf(infos)));
  ASSIGN_OR_RETURN(weights::SafetensorsWriter writer,
                   weights::SafetensorsWriter::Create(
                       file, infos, {{"format", "finetuned-base"}, {"kind", NameOf(kind)}}));
  nlohmann::json digests = nlohmann::json::object();
  size_t next = 0;
  for (const StoredMatrix& matrix : matrices) {
    ASSIGN_OR_RETURN(const std::vector<torch::Tensor> parts, Quantised(source, matrix, kind));
    for (const torch::Tensor& part : parts) {
      const torch::Tensor whole = part.contiguous();
      const std::span<std::byte> bytes = device::HostBytes(whole);
      digests[infos[next++].name] = DigestOf(bytes);
      RETURN_IF_ERROR(writer.Append(bytes));
    }
    if (options.progress) options.progress();
  }
  RETURN_IF_ERROR(writer.Finish().status());
  return WriteFileDurably(Beside(file, ".json"), digests.dump() + "\n");
}

bool IsThere(const fs::path& file) {
  std::error_code ignored;
  return fs::exists(file, ignored) && fs::exists(Beside(file, ".json"), ignored);
}

// Until the file is there: builds it, or waits for whoever does.
Status Ensure(const fs::path& file, const QuantisedBaseOptions& options, BaseKind kind,
              const weights::TensorSource& source, const std::vector<StoredMatrix>& matrices) {
  RETURN_IF_ERROR(MakeDirectories(options.folder));
  const fs::path lock = Beside(file, ".lock");
  const UniqueFd fd(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus("open", lock, errno);
  const auto deadline = std::chrono::steady_clock::now() + kLongestBuild;
  while (!IsThere(file)) {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
      return IsThere(file) ? absl::OkStatus() : Build(file, options, kind, source, matrices);
    }
    if (errno != EWOULDBLOCK && errno != EINTR) return ErrnoStatus("lock", lock, errno);
    if (std::chrono::steady_clock::now() > deadline)
      return absl::DeadlineExceededError(
          StrCat("another process builds it for too long (", lock.string(), ")"));
    if (options.progress) options.progress();
    std::this_thread::sleep_for(kLook);
  }
  return absl::OkStatus();
}

// Sizes first: what is read goes to kernels that trust them.
Status CheckParts(const weights::SafetensorsFile& tensors, const fs::path& file,
                  const std::vector<weights::TensorInfo>& infos) {
  for (const weights::TensorInfo& wanted : infos) {
    const weights::TensorInfo* info = tensors.Find(wanted.name);
    if (info != nullptr && info->dtype == wanted.dtype && info->shape == wanted.shape) continue;
    Forget(file);
    return absl::DataLossError(StrCat(file.string(), " has no ", weights::Name(wanted.dtype), " tensor ",
                                      wanted.name, " of shape ", weights::ShapeText(wanted.shape),
                                      ": it is damaged and goes"));
  }
  return absl::OkStatus();
}

at::ScalarType TypeOf(DType dtype) {
  if (dtype == DType::kU8) return at::kByte;
  return dtype == DType::kI8 ? at::kChar : at::kFloat;
}

}  // namespace

std::unique_ptr<QuantisedBase> QuantisedBase::Open(const QuantisedBaseOptions& options, BaseKind kind,
                                                   const weights::TensorSource& source,
                                                   const std::vector<StoredMatrix>& matrices) {
  FT_CHECK(kind != BaseKind::kStored);
  if (options.folder.empty() || matrices.empty()) return nullptr;
  const fs::path file = FileOf(options, kind, matrices);
  std::unique_ptr<QuantisedBase> base(new QuantisedBase(file, kind));
  Status status = Ensure(file, options, kind, source, matrices);
  if (status.ok()) status = base->OpenFile();
  if (status.ok()) status = CheckParts(*base->tensors_, file, PartsOf(matrices, kind));
  if (status.ok()) {
    std::error_code ignored;  // Used now: what is used least goes first.
    fs::last_write_time(file, fs::file_time_type::clock::now(), ignored);
    return base;
  }
  if (options.remark) options.remark(StrCat("the cache of quantised bases is not used: ", Message(status)));
  return nullptr;
}

Status QuantisedBase::OpenFile() {
  const fs::path digests = Beside(file_, ".json");
  ASSIGN_OR_RETURN(const std::string text, ReadFile(digests, kMaxDigestBytes));
  const nlohmann::json parsed = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  StatusOr<std::unique_ptr<weights::SafetensorsFile>> opened = weights::SafetensorsFile::Open(file_);
  if (!parsed.is_object() || !opened.ok()) {
    Forget(file_);
    return absl::DataLossError(
        StrCat(parsed.is_object() ? file_.string() : digests.string(), " is damaged and goes"));
  }
  tensors_ = *std::move(opened);
  for (const auto& [name, digest] : parsed.items()) {
    if (digest.is_string()) digests_[name] = digest.get<std::string>();
  }
  return absl::OkStatus();
}

StatusOr<torch::Tensor> QuantisedBase::ReadPart(const std::string& name) const {
  const weights::TensorInfo* info = tensors_->Find(name);
  const auto digest = digests_.find(name);
  if (info != nullptr && digest != digests_.end()) {
    torch::Tensor part = torch::empty(info->shape, TypeOf(info->dtype));
    const std::span<std::byte> bytes = device::HostBytes(part);
    RETURN_IF_ERROR(tensors_->ReadBytes(*info, bytes));
    bytes_read_ += static_cast<int64_t>(bytes.size());
    if (DigestOf(bytes) == digest->second) return part;
  }
  Forget(file_);
  return absl::DataLossError(
      StrCat(file_.string(), " is damaged at ", name,
             ": the model's own file is read, and the cached base is built anew next time"));
}

StatusOr<ops::SlotPtr> QuantisedBase::Read(const std::string& name, const std::vector<int64_t>& shape,
                                           at::Device device) const {
  if (kind_ == BaseKind::kInt8) {
    ops::Int8Tensor tensor;
    ASSIGN_OR_RETURN(tensor.codes_OI, ReadPart(name + ".codes"));
    ASSIGN_OR_RETURN(tensor.absmax_O, ReadPart(name + ".absmax"));
    tensor.codes_OI = device::Upload(tensor.codes_OI, device);
    tensor.absmax_O = device::Upload(tensor.absmax_O, device);
    return std::make_shared<Int8Slot>(name, std::move(tensor));
  }
  ops::Nf4Tensor tensor{.shape = shape};
  ASSIGN_OR_RETURN(tensor.packed, ReadPart(name + ".packed"));
  ASSIGN_OR_RETURN(tensor.absmax_codes, ReadPart(name + ".absmax_codes"));
  ASSIGN_OR_RETURN(tensor.nested_absmax, ReadPart(name + ".nested_absmax"));
  ASSIGN_OR_RETURN(const torch::Tensor offset, ReadPart(name + ".offset"));
  tensor.offset = offset.item<float>();
  return std::make_shared<Nf4Slot>(name, ops::ToDevice(std::move(tensor), device));
}

}  // namespace ft::params
