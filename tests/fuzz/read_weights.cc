#include <vector>

#include "core/base/file.h"
#include "tests/fuzz/readers.h"
#include "worker/data/prepare/model_files.h"
#include "worker/model/weights/gguf.h"
#include "worker/model/weights/pickle.h"
#include "worker/model/weights/safetensors.h"
#include "worker/model/weights/unpickler.h"
#include "worker/model/weights/weight_map.h"

namespace ft::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxTensorBytes = 1 << 20;

Status ReadTensors(const weights::TensorSource& source) {
  for (const weights::TensorInfo& info : source.tensors()) {
    ASSIGN_OR_RETURN(const uint64_t size, weights::StoredBytes(info.dtype, info.elements()));
    if (size > kMaxTensorBytes) continue;
    std::vector<std::byte> bytes(size);
    RETURN_IF_ERROR(source.ReadBytes(info, bytes));
    std::vector<float> values(info.elements());
    weights::ReadFloat32(source, info, values).IgnoreError();  // Whole numbers are refused.
  }
  return absl::OkStatus();
}

template <typename File>
Status ReadWeights(const fs::path& path) {
  ASSIGN_OR_RETURN(const auto file, File::Open(path));
  return ReadTensors(*file);
}

// Not every file of weights has a vocabulary in it.
Status ReadVocabulary(const fs::path& path) {
  ASSIGN_OR_RETURN(const auto tokenizer, prepare::OpenModelTokenizer(path));
  RETURN_IF_ERROR(prepare::WriteTokenizerFiles(path, path.parent_path()));
  ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokenizer->Encode("Hello <|im_end|> 123"));
  tokenizer->Decode(ids);
  return absl::OkStatus();
}

}  // namespace

Status ReadSafetensors(const fs::path& path) { return ReadWeights<weights::SafetensorsFile>(path); }

Status ReadTorch(const fs::path& path) { return ReadWeights<weights::TorchFile>(path); }

Status ReadPickle(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  return weights::UnpickleStateDict(bytes).status();
}

Status ReadGguf(const fs::path& path) {
  ASSIGN_OR_RETURN(const auto file, weights::GgufFile::Open(path));
  ReadVocabulary(path).IgnoreError();
  RETURN_IF_ERROR(weights::GgufConfigJson(*file).status());
  return ReadTensors(*file);
}

Status ReadWeightIndex(const fs::path& path) { return weights::ReadWeightMap(path).status(); }

}  // namespace ft::fuzz
