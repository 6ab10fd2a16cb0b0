#include "tests/fuzz/parsers.h"

#include <vector>

#include "core/base/file.h"
#include "core/records/record_file.h"
#include "core/recipe/parse.h"
#include "worker/data/record.h"
#include "worker/data/token_cache.h"
#include "worker/tokenizer/tokenizer.h"
#include "worker/weights/gguf.h"
#include "worker/weights/pickle.h"
#include "worker/weights/safetensors.h"
#include "worker/weights/unpickler.h"

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
  }
  return absl::OkStatus();
}

template <typename File>
Status ReadWeights(const fs::path& path) {
  ASSIGN_OR_RETURN(const auto file, File::Open(path));
  return ReadTensors(*file);
}

Status ReadGguf(const fs::path& path) {
  ASSIGN_OR_RETURN(const auto file, weights::GgufFile::Open(path));
  RETURN_IF_ERROR(weights::GgufConfigJson(*file).status());
  return ReadTensors(*file);
}

Status ReadPickle(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  return weights::UnpickleStateDict(bytes).status();
}

Status ReadTokenizer(const fs::path& path) {
  ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::OpenTokenizer(path.parent_path()));
  ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokenizer->Encode("Hello <|im_end|> \xe4\xbd\xa0\xe5\xa5\xbd 123"));
  tokenizer->Decode(ids);
  return absl::OkStatus();
}

Status ReadRecords(const fs::path& path) {
  ASSIGN_OR_RETURN(const auto reader, data::OpenRecords(path, {}));
  while (true) {
    ASSIGN_OR_RETURN(const auto record, reader->Next());
    if (!record.has_value()) return absl::OkStatus();
  }
}

Status ReadJobFile(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string yaml, ReadFile(path));
  return recipe::ParseJob(yaml, "job.yaml").status();
}

Status ReadSpool(const fs::path& path) { return records::ReadRecords(path).status(); }

Status ReadTokenCache(const fs::path& path) {
  ASSIGN_OR_RETURN(const data::TokenCache cache, data::TokenCache::Open(path, /*verify=*/false));
  for (int64_t i = 0; i < cache.samples(); ++i) data::SupervisedTokens(cache.at(i));
  return absl::OkStatus();
}

constexpr Parser kParsers[] = {
    {"safetensors", "model.safetensors", ReadWeights<weights::SafetensorsFile>},
    {"torch", "pytorch_model.bin", ReadWeights<weights::TorchFile>},
    {"pickle", "data.pkl", ReadPickle},
    {"gguf", "model.gguf", ReadGguf},
    {"tokenizer", "tokenizer.json", ReadTokenizer},
    {"tiktoken", "qwen.tiktoken", ReadTokenizer},
    {"json", "data.json", ReadRecords},
    {"csv", "data.csv", ReadRecords},
    {"txt", "data.txt", ReadRecords},
    {"xlsx", "data.xlsx", ReadRecords},
    {"job", "job.yaml", ReadJobFile},
    {"spool", "records.ftr", ReadSpool},
    {"cache", "data.ftt", ReadTokenCache},
};

}  // namespace

std::span<const Parser> Parsers() { return kParsers; }

}  // namespace ft::fuzz
