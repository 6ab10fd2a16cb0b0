#include "worker/quant/bnb_checkpoint.h"

#include <nlohmann/json.hpp>
#include <string>

#include "worker/weights/tensor_table.h"

namespace ft::quant {
namespace {

using nlohmann::json;
using weights::DType;
using weights::TensorInfo;
using weights::TensorSource;

constexpr std::string_view kState = ".quant_state.bitsandbytes__nf4";
constexpr uint64_t kMaxStateBytes = 1 << 16;

struct State {
  std::vector<int64_t> shape;
  bool nested = false;
  float offset = 0;
};

Status Wrong(std::string_view name, std::string_view what) {
  return absl::InvalidArgumentError(StrCat("4-bit weight ", name, ": ", what));
}

StatusOr<json> ReadState(const TensorSource& source, std::string_view name) {
  const TensorInfo* info = source.Find(StrCat(name, kState));
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

StatusOr<State> ParseState(const TensorSource& source, std::string_view name) {
  ASSIGN_OR_RETURN(const json object, ReadState(source, name));
  if (object.value("quant_type", json()) != "nf4") return Wrong(name, "quant_type is not nf4");
  if (object.value("blocksize", json()) != 64) {
    return absl::UnimplementedError(StrCat("4-bit weight ", name, ": only blocks of 64 are supported"));
  }
  State state;
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
  if (object.value("nested_blocksize", json()) != 256) {
    return absl::UnimplementedError(
        StrCat("4-bit weight ", name, ": only nested blocks of 256 are supported"));
  }
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

}  // namespace

bool IsBnbNf4(const TensorSource& source, std::string_view name) {
  return source.Find(StrCat(name, kState)) != nullptr;
}

bool IsBnbCompanion(std::string_view name) {
  for (std::string_view suffix : {".weight.absmax", ".weight.quant_map", ".weight.nested_absmax",
                                  ".weight.nested_quant_map", ".weight.quant_state.bitsandbytes__nf4"}) {
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
  ops::Nf4Tensor tensor{.shape = std::move(state.shape), .offset = state.offset};
  const int64_t count = tensor.count(), blocks = (count + 63) / 64;
  const std::string base(name);
  RETURN_IF_ERROR(CheckTable(source, base + ".quant_map", ops::Nf4CodeTable()));
  ASSIGN_OR_RETURN(tensor.packed, Read(source, base, at::kByte, (count + 1) / 2));
  if (!state.nested) {
    ASSIGN_OR_RETURN(tensor.absmax, Read(source, base + ".absmax", at::kFloat, blocks));
    return tensor;
  }
  RETURN_IF_ERROR(CheckTable(source, base + ".nested_quant_map", ops::DynamicMapTable()));
  ASSIGN_OR_RETURN(tensor.absmax_codes, Read(source, base + ".absmax", at::kByte, blocks));
  ASSIGN_OR_RETURN(tensor.nested_absmax,
                   Read(source, base + ".nested_absmax", at::kFloat, (blocks + 255) / 256));
  return tensor;
}

}  // namespace ft::quant
