#include "worker/model/weights/gguf.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/check.h"
#include "core/gguf/gguf_config.h"

namespace ft::weights {
namespace {

// ggml's numbers of tensor types.
std::optional<DType> DTypeOf(uint32_t type) {
  switch (type) {
    case 0: return DType::kF32;
    case 1: return DType::kF16;
    case 2: return DType::kQ4_0;
    case 3: return DType::kQ4_1;
    case 8: return DType::kQ8_0;
    case 30: return DType::kBF16;
    default: return std::nullopt;
  }
}

std::string TypeText(uint32_t type) {
  struct Known {
    uint32_t type;
    std::string_view name;
  };
  static constexpr Known kKnown[] = {
      {6, "Q5_0"},   {7, "Q5_1"},    {9, "Q8_1"},   {10, "Q2_K"},    {11, "Q3_K"},   {12, "Q4_K"},
      {13, "Q5_K"},  {14, "Q6_K"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"},
      {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"},   {23, "IQ4_XS"}, {24, "I8"},
      {25, "I16"},   {26, "I32"},    {27, "I64"},   {28, "F64"},     {29, "IQ1_M"},  {34, "TQ1_0"},
      {35, "TQ2_0"}, {39, "MXFP4"}};
  for (const Known& known : kKnown) {
    if (known.type == type) return std::string(known.name);
  }
  return StrCat("number ", type);
}

struct NamePair {
  std::string_view stored;
  std::string_view hugging_face;
};

constexpr NamePair kModelNames[] = {{"token_embd.weight", "model.embed_tokens.weight"},
                                    {"output_norm.weight", "model.norm.weight"},
                                    {"output.weight", "lm_head.weight"}};
constexpr NamePair kLayerNames[] = {
    {"attn_norm", "input_layernorm"}, {"ffn_norm", "post_attention_layernorm"},
    {"attn_q", "self_attn.q_proj"},   {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},   {"attn_output", "self_attn.o_proj"},
    {"ffn_gate", "mlp.gate_proj"},    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"}};

// The rotary frequencies' factors are no weight; GgufConfigJson deals with them.
constexpr std::string_view kRopeFactors = "rope_freqs.weight";

}  // namespace

std::optional<std::string> HuggingFaceName(std::string_view stored_name) {
  for (const NamePair& pair : kModelNames) {
    if (pair.stored == stored_name) return std::string(pair.hugging_face);
  }
  if (stored_name == kRopeFactors) return std::string(kRopeFactors);
  constexpr std::string_view kLayerPrefix = "blk.";
  constexpr size_t kMaxDigits = 6;
  if (!stored_name.starts_with(kLayerPrefix)) return std::nullopt;
  const std::string_view rest = stored_name.substr(kLayerPrefix.size());
  const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
  if (digits == 0 || digits > kMaxDigits || (digits > 1 && rest[0] == '0')) return std::nullopt;
  const size_t dot = rest.rfind('.');
  if (digits >= rest.size() || rest[digits] != '.' || dot <= digits) return std::nullopt;
  const std::string_view part = rest.substr(digits + 1, dot - digits - 1);
  const std::string_view kind = rest.substr(dot);
  if (kind != ".weight" && kind != ".bias") return std::nullopt;
  for (const NamePair& pair : kLayerNames) {
    if (pair.stored == part) {
      return StrCat("model.layers.", rest.substr(0, digits), ".", pair.hugging_face, kind);
    }
  }
  return std::nullopt;
}

StatusOr<std::unique_ptr<GgufFile>> GgufFile::Open(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(RandomAccessFile file, RandomAccessFile::Open(path));
  std::unique_ptr<GgufFile> opened(new GgufFile(std::move(file)));
  RETURN_IF_ERROR(WithContext(opened->ReadHeader(), path.string()));
  return opened;
}

Status GgufFile::ReadHeader() {
  ASSIGN_OR_RETURN(header_, gguf::ReadGgufHeader(file_));
  RETURN_IF_ERROR(gguf::CheckArchitecture(metadata()));
  for (const GgufTensor& tensor : header_.tensors) {
    RETURN_IF_ERROR(WithContext(AddTensor(tensor, header_.data_offset, header_.alignment),
                                StrCat("tensor '", tensor.name, "'")));
  }
  return CheckOverlaps();
}

Status GgufFile::AddTensor(const GgufTensor& tensor, uint64_t data_offset, uint64_t alignment) {
  const std::optional<DType> dtype = DTypeOf(tensor.type);
  if (!dtype) {
    return absl::InvalidArgumentError(
        StrCat("type ", TypeText(tensor.type),
               " is not supported by this version; take the model's Hugging Face folder, or its "
               "GGUF file in BF16, F16, F32, Q8_0, Q4_0 or Q4_1"));
  }
  std::optional<std::string> name = HuggingFaceName(tensor.name);
  if (!name) return absl::InvalidArgumentError("a Llama model has no tensor of this name");
  TensorInfo info{*std::move(name), *dtype, {}};
  info.shape.assign(tensor.sizes.rbegin(), tensor.sizes.rend());
  ASSIGN_OR_RETURN(const uint64_t elements, CheckedElements(info.shape));
  RETURN_IF_ERROR(StoredBytes(*dtype, tensor.sizes[0]).status());  // A block never reaches into the next row.
  ASSIGN_OR_RETURN(const uint64_t bytes, StoredBytes(*dtype, elements));
  if (tensor.offset % alignment != 0) {
    return absl::InvalidArgumentError(
        StrCat("its offset ", tensor.offset, " is not a multiple of ", alignment));
  }
  if (data_offset > file_.size() || tensor.offset > file_.size() - data_offset ||
      bytes > file_.size() - data_offset - tensor.offset) {
    return absl::InvalidArgumentError(
        StrCat("its ", bytes, " bytes at offset ", tensor.offset,
               " reach past the end of the file; it is damaged or incomplete; fetch it again"));
  }
  ASSIGN_OR_RETURN(const uint64_t heads, PermutedHeads(tensor.name, info));
  RETURN_IF_ERROR(table_.Add(std::move(info)));
  ranges_.push_back({data_offset + tensor.offset, bytes, heads});
  return absl::OkStatus();
}

StatusOr<uint64_t> GgufFile::PermutedHeads(const std::string& stored_name, const TensorInfo& info) const {
  const bool is_query = stored_name.find(".attn_q.") != std::string::npos;
  const bool is_key = stored_name.find(".attn_k.") != std::string::npos;
  if (!is_query && !is_key) return 0;
  std::optional<uint64_t> heads = metadata().Count("llama.attention.head_count");
  if (is_key && metadata().values().contains("llama.attention.head_count_kv")) {
    heads = metadata().Count("llama.attention.head_count_kv");
  }
  const auto rows = static_cast<uint64_t>(info.shape[0]);
  if (!heads || *heads == 0 || *heads > rows || rows % (2 * *heads) != 0) {
    return absl::InvalidArgumentError(
        StrCat("its ", rows, " rows are not so many heads of even size as the metadata's head_count says"));
  }
  if (info.shape.size() > 2) return absl::InvalidArgumentError("it has more than two dimensions");
  if (info.shape.size() == 1 && !StoredBytes(info.dtype, 1).ok()) {
    return absl::InvalidArgumentError(StrCat("a bias of type ", Name(info.dtype), " is not supported"));
  }
  return *heads;
}

Status GgufFile::CheckOverlaps() const {
  std::vector<size_t> order(ranges_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [this](size_t a, size_t b) { return ranges_[a].offset < ranges_[b].offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    const StoredRange& before = ranges_[order[i - 1]];
    if (before.offset + before.bytes <= ranges_[order[i]].offset) continue;
    return absl::InvalidArgumentError(
        StrCat("tensors '", tensors()[order[i - 1]].name, "' and '", tensors()[order[i]].name, "' overlap"));
  }
  return absl::OkStatus();
}

Status GgufFile::ReadBytes(const TensorInfo& info, std::span<std::byte> out) const {
  const std::optional<size_t> index = table_.IndexOf(info.name);
  if (!index) return absl::NotFoundError(StrCat(file_.path().string(), ": no tensor '", info.name, "'"));
  const StoredRange& range = ranges_[*index];
  FT_CHECK(out.size() == range.bytes) << info.name << ": " << out.size() << " of " << range.bytes;
  const Status status =
      range.heads == 0 ? file_.ReadAt(range.offset, out) : ReadPermuted(tensors()[*index], range, out);
  return WithContext(status, StrCat("tensor '", info.name, "'"));
}

// The file's row 2i + j of a head is Hugging Face's row i + j * (half of the head), j = 0 or 1. One head at a
// time.
Status GgufFile::ReadPermuted(const TensorInfo& info, const StoredRange& range,
                              std::span<std::byte> out) const {
  const auto rows = static_cast<uint64_t>(info.shape[0]);
  const uint64_t row_bytes = range.bytes / rows;
  const uint64_t half = rows / range.heads / 2;
  std::vector<std::byte> head(2 * half * row_bytes);
  for (uint64_t h = 0; h < range.heads; ++h) {
    RETURN_IF_ERROR(file_.ReadAt(range.offset + h * head.size(), head));
    std::byte* const to = out.data() + h * head.size();
    for (uint64_t i = 0; i < half; ++i) {
      std::memcpy(to + i * row_bytes, head.data() + 2 * i * row_bytes, row_bytes);
      std::memcpy(to + (half + i) * row_bytes, head.data() + (2 * i + 1) * row_bytes, row_bytes);
    }
  }
  return absl::OkStatus();
}

StatusOr<std::string> GgufConfigJson(const GgufFile& file) {
  StatusOr<std::string> text = gguf::ConfigJson(file.header());
  RETURN_IF_ERROR(WithContext(text.status(), file.path().string()));
  return text;
}

}  // namespace ft::weights
