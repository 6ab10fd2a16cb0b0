#include "worker/model/params/bnb_checkpoint.h"

#include <nlohmann/json.hpp>
#include <string>

#include "worker/model/ops/dynamic_map.h"
#include "worker/model/weights/tensor_table.h"

namespace ft::params {
namespace {

using nlohmann::json;
using weights::DType;
using weights::TensorInfo;
using weights::TensorSource;

// The two kinds of 4-bit weight.
constexpr std::string_view kStates[] = {".quant_state.bitsandbytes__nf4", ".quant_state.bitsandbytes__fp4"};
constexpr uint64_t kMaxStateBytes = 1 << 16;
constexpr int64_t kBlock = 64, kNestedBlock = 256;  // What bitsandbytes writes unless it is told otherwise.
constexpr int64_t kLargestBlock = 1 << 16;

struct State {
  std::vector<int64_t> shape;
  std::string type;
  int64_t block = kBlock;
  bool nested = false;
  int64_t nested_block = kNestedBlock;
  float offset = 0;

  int64_t count() const {
    int64_t product = 1;
    for (const int64_t size : shape) product *= size;
    return product;
  }
  int64_t blocks() const { return (count() + block - 1) / block; }
};

Status Wrong(std::string_view name, std::string_view what) {
  return absl::InvalidArgumentError(StrCat("4-bit weight ", name, ": ", what));
}

const TensorInfo* FindState(const TensorSource& source, std::string_view name) {
  for (const std::string_view suffix : kStates) {
    if (const TensorInfo* info = source.Find(StrCat(name, suffix)); info != nullptr) return info;
  }
  return nullptr;
}

StatusOr<json> ReadState(const TensorSource& source, std::string_view name) {
  const TensorInfo* info = FindState(source, name);
  if (info == nullptr || info->dtype != DType::kU8 || info->elements() > kMaxStateBytes) {
    return Wrong(name, "has no quantisation state");
  }
  std::string text(info->elements(), '\0');
  RETURN_IF_ERROR(source.ReadBytes(*info, std::as_writable_bytes(std::span(text.data(), text.size()))));
  // Read through a callback that bounds the depth: the text comes from a file.
  const auto shallow = [](int depth, json::parse_event_t, json&) { return depth < 8; };
  json state = json::parse(text, shallow, /*allow_exceptions=*/false);
  if (!state.is_object()) return Wrong(name, "the quantisation state is not a JSON object");
  return state;
}

// A block's size: a power of two that no file has reason to exceed.
StatusOr<int64_t> BlockSize(const json& object, const char* key, std::string_view name) {
  const json size = object.value(key, json());
  if (!size.is_number_integer()) return Wrong(name, StrCat(key, " is not a whole number"));
  const auto block = size.get<int64_t>();
  if (block < 1 || block > kLargestBlock || (block & (block - 1)) != 0)
    return Wrong(name, StrCat(key, " is ", block));
  return block;
}

StatusOr<State> ParseState(const TensorSource& source, std::string_view name) {
  ASSIGN_OR_RETURN(const json object, ReadState(source, name));
  State state;
  const json type = object.value("quant_type", json());
  if (type != "nf4" && type != "fp4") return Wrong(name, "quant_type is neither nf4 nor fp4");
  state.type = type.get<std::string>();
  ASSIGN_OR_RETURN(state.block, BlockSize(object, "blocksize", name));
  const json shape = object.value("shape", json());
  if (!shape.is_array() || shape.empty()) return Wrong(name, "the state has no shape");
  for (const json& size : shape) {
    if (!size.is_number_integer()) return Wrong(name, "the state's shape is not one of integers");
    state.shape.push_back(size.get<int64_t>());
  }
  if (const Status counted = weights::CheckedElements(state.shape).status(); !counted.ok()) {
    return Wrong(name, Message(counted));
  }
  state.nested = object.contains("nested_offset");
  if (!state.nested) return state;
  ASSIGN_OR_RETURN(state.nested_block, BlockSize(object, "nested_blocksize", name));
  if (!object["nested_offset"].is_number()) return Wrong(name, "nested_offset is not a number");
  state.offset = static_cast<float>(object["nested_offset"].get<double>());
  return state;
}

// A companion tensor of the given type and number of elements, as a flat tensor.
StatusOr<torch::Tensor> Read(const TensorSource& source, const std::string& name, at::ScalarType type,
                             int64_t elements) {
  const TensorInfo* info = source.Find(name);
  const DType stored = type == at::kByte ? DType::kU8 : DType::kF32;
  if (info == nullptr || info->dtype != stored || info->elements() != static_cast<uint64_t>(elements)) {
    return absl::InvalidArgumentError(
        StrCat("tensor ", name, " must hold ", elements, " values of type ", weights::Name(stored)));
  }
  torch::Tensor tensor = torch::empty({elements}, type);
  RETURN_IF_ERROR(source.ReadBytes(*info, {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()}));
  return tensor;
}

Status CheckTable(const TensorSource& source, const std::string& name, const torch::Tensor& table) {
  ASSIGN_OR_RETURN(const torch::Tensor stored, Read(source, name, at::kFloat, table.numel()));
  if (at::equal(stored, table)) return absl::OkStatus();
  return absl::UnimplementedError(StrCat("tensor ", name, " is not the standard table"));
}

// The maxima of all blocks.
StatusOr<torch::Tensor> ReadAbsmax(const TensorSource& source, const std::string& name, const State& state) {
  if (!state.nested) return Read(source, name + ".absmax", at::kFloat, state.blocks());
  const int64_t groups = (state.blocks() + state.nested_block - 1) / state.nested_block;
  ASSIGN_OR_RETURN(const torch::Tensor codes, Read(source, name + ".absmax", at::kByte, state.blocks()));
  ASSIGN_OR_RETURN(const torch::Tensor table, Read(source, name + ".nested_quant_map", at::kFloat, 256));
  ASSIGN_OR_RETURN(const torch::Tensor maxima, Read(source, name + ".nested_absmax", at::kFloat, groups));
  const torch::Tensor scales = maxima.repeat_interleave(state.nested_block).narrow(0, 0, state.blocks());
  return table.index_select(0, codes.to(at::kLong)) * scales + state.offset;
}

// By the file's own tables, whatever they and the block sizes are.
StatusOr<torch::Tensor> DequantiseByTable(const TensorSource& source, const std::string& name,
                                          const State& state) {
  const int64_t count = state.count();
  ASSIGN_OR_RETURN(const torch::Tensor table, Read(source, name + ".quant_map", at::kFloat, 16));
  ASSIGN_OR_RETURN(const torch::Tensor packed, Read(source, name, at::kByte, (count + 1) / 2));
  ASSIGN_OR_RETURN(const torch::Tensor absmax, ReadAbsmax(source, name, state));
  // The first of two values lies in the high half of their byte.
  const torch::Tensor codes =
      torch::stack({packed.bitwise_right_shift(4), packed.bitwise_and(15)}, 1).flatten();
  const torch::Tensor values = table.index_select(0, codes.narrow(0, 0, count).to(at::kInt));
  return (values * absmax.repeat_interleave(state.block).narrow(0, 0, count)).view(state.shape);
}

}  // namespace

bool IsBnb4(const TensorSource& source, std::string_view name) { return FindState(source, name) != nullptr; }

bool IsBnbCompanion(std::string_view name) {
  for (std::string_view suffix :
       {".weight.absmax", ".weight.quant_map", ".weight.nested_absmax", ".weight.nested_quant_map",
        ".weight.quant_state.bitsandbytes__nf4", ".weight.quant_state.bitsandbytes__fp4"}) {
    if (name.ends_with(suffix)) return true;
  }
  return false;
}

StatusOr<std::vector<int64_t>> BnbShape(const TensorSource& source, std::string_view name) {
  ASSIGN_OR_RETURN(State state, ParseState(source, name));
  return std::move(state.shape);
}

StatusOr<ops::Nf4Tensor> ReadBnbNf4(const TensorSource& source, std::string_view name) {
  ASSIGN_OR_RETURN(State state, ParseState(source, name));
  if (state.type != "nf4" || state.block != kBlock || state.nested_block != kNestedBlock) {
    return absl::UnimplementedError(
        StrCat("4-bit weight ", name, ": only nf4 in blocks of 64 and 256 is kept in 4 bits"));
  }
  const std::string base(name);
  const int64_t count = state.count(), blocks = state.blocks();
  ops::Nf4Tensor tensor{.shape = std::move(state.shape), .offset = state.offset};
  RETURN_IF_ERROR(CheckTable(source, base + ".quant_map", ops::Nf4CodeTable()));
  ASSIGN_OR_RETURN(tensor.packed, Read(source, base, at::kByte, (count + 1) / 2));
  if (!state.nested) {
    ASSIGN_OR_RETURN(tensor.absmax, Read(source, base + ".absmax", at::kFloat, blocks));
    return tensor;
  }
  RETURN_IF_ERROR(CheckTable(source, base + ".nested_quant_map", ops::DynamicMapsOn(at::kCPU).signed_map));
  ASSIGN_OR_RETURN(tensor.absmax_codes, Read(source, base + ".absmax", at::kByte, blocks));
  ASSIGN_OR_RETURN(tensor.nested_absmax, Read(source, base + ".nested_absmax", at::kFloat,
                                              (blocks + kNestedBlock - 1) / kNestedBlock));
  return tensor;
}

StatusOr<torch::Tensor> DequantiseBnb(const TensorSource& source, std::string_view name) {
  const StatusOr<ops::Nf4Tensor> nf4 = ReadBnbNf4(source, name);
  if (nf4.ok()) return ops::DequantiseNf4(*nf4, at::kFloat);
  if (!absl::IsUnimplemented(nf4.status())) return nf4.status();
  ASSIGN_OR_RETURN(const State state, ParseState(source, name));
  return DequantiseByTable(source, std::string(name), state);
}

}  // namespace ft::params
