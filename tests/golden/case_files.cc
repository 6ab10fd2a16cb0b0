#include "tests/golden/case_files.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "worker/model/params/read_slot.h"
#include "worker/model/weights/safetensors.h"

namespace ft::golden {
namespace {

using nlohmann::json;

StatusOr<json> ReadJson(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file, uint64_t{1} << 26));
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return absl::InvalidArgumentError(StrCat(file.string(), ": not JSON"));
  return value;
}

// A rectangular array of integers.
StatusOr<torch::Tensor> Matrix(const json& rows, const std::string& what) {
  std::vector<int64_t> values;
  size_t width = 0;
  if (!rows.is_array() || rows.empty()) return absl::InvalidArgumentError(what + " is not an array of rows");
  for (const json& row : rows) {
    if (!row.is_array() || row.empty() || (width != 0 && row.size() != width)) {
      return absl::InvalidArgumentError(what + " is not rectangular");
    }
    width = row.size();
    for (const json& value : row) {
      if (!value.is_number_integer())
        return absl::InvalidArgumentError(what + " holds something else than integers");
      values.push_back(value.get<int64_t>());
    }
  }
  return torch::tensor(values, torch::kInt64)
      .view({static_cast<int64_t>(rows.size()), static_cast<int64_t>(width)});
}

StatusOr<GoldenInput> Input(const json& entry, const std::string& name) {
  for (const char* key : {"input_ids", "attention_mask", "labels"}) {
    if (!entry.is_object() || !entry.contains(key))
      return absl::InvalidArgumentError(StrCat(name, " has no ", key));
  }
  GoldenInput input;
  ASSIGN_OR_RETURN(input.batch.ids_BT, Matrix(entry["input_ids"], name + ".input_ids"));
  ASSIGN_OR_RETURN(input.batch.labels_BT, Matrix(entry["labels"], name + ".labels"));
  ASSIGN_OR_RETURN(input.mask_BT, Matrix(entry["attention_mask"], name + ".attention_mask"));
  if (input.mask_BT.sizes() != input.batch.ids_BT.sizes() ||
      input.batch.labels_BT.sizes() != input.mask_BT.sizes()) {
    return absl::InvalidArgumentError(name + ": shapes differ");
  }
  const int64_t rows = input.mask_BT.size(0), width = input.mask_BT.size(1);
  const int64_t* mask = input.mask_BT.const_data_ptr<int64_t>();
  const int64_t* labels = input.batch.labels_BT.const_data_ptr<int64_t>();
  for (int64_t row = 0; row < rows; ++row) {
    int64_t length = 0;
    while (length < width && mask[row * width + length] == 1) ++length;
    for (int64_t t = length; t < width; ++t) {
      if (mask[row * width + t] != 0)
        return absl::InvalidArgumentError(name + ": padding is not on the right");
    }
    for (int64_t t = 1; t < length; ++t) input.counted += labels[row * width + t] != -100 ? 1 : 0;
    input.batch.lengths.push_back(length);
  }
  return input;
}

StatusOr<std::vector<int64_t>> Integers(const json& object, const char* key) {
  std::vector<int64_t> values;
  if (!object.is_object() || !object.contains(key) || !object[key].is_array()) {
    return absl::InvalidArgumentError(StrCat("no array ", key));
  }
  for (const json& value : object[key]) {
    if (!value.is_number_integer())
      return absl::InvalidArgumentError(StrCat(key, " holds something else than integers"));
    values.push_back(value.get<int64_t>());
  }
  return values;
}

}  // namespace

StatusOr<std::map<std::string, GoldenInput>> ReadInputs(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const json object, ReadJson(file));
  if (!object.is_object()) return absl::InvalidArgumentError(StrCat(file.string(), ": not an object"));
  std::map<std::string, GoldenInput> inputs;
  for (const auto& [name, entry] : object.items()) {
    StatusOr<GoldenInput> input = Input(entry, name);
    if (!input.ok()) return WithContext(input.status(), file.string());
    inputs[name] = *std::move(input);
  }
  return inputs;
}

StatusOr<std::vector<GreedyCase>> ReadGreedy(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const json array, ReadJson(file));
  if (!array.is_array()) return absl::InvalidArgumentError(StrCat(file.string(), ": not an array"));
  std::vector<GreedyCase> cases;
  for (const json& entry : array) {
    GreedyCase one;
    ASSIGN_OR_RETURN(one.prompt, Integers(entry, "prompt"));
    ASSIGN_OR_RETURN(one.continuation, Integers(entry, "continuation"));
    cases.push_back(std::move(one));
  }
  return cases;
}

StatusOr<std::unique_ptr<weights::TensorSource>> OpenExpected(const std::filesystem::path& file) {
  return weights::SafetensorsFile::Open(file);
}

StatusOr<torch::Tensor> Expected(const weights::TensorSource& source, const std::string& name) {
  const weights::TensorInfo* info = source.Find(name);
  if (info == nullptr) return absl::NotFoundError(StrCat("expected.safetensors has no ", name));
  return params::ReadTensor(source, *info);
}

double LargestAbsolute(const torch::Tensor& values) {
  return values.numel() == 0 ? 0 : values.abs().max().item<double>();
}

StatusOr<torch::Tensor> ExpectedCodes(const weights::TensorSource& source, const std::string& name) {
  const weights::TensorInfo* info = source.Find(name);
  if (info == nullptr || info->dtype != weights::DType::kU8)
    return absl::NotFoundError(StrCat("there are no codes ", name));
  torch::Tensor tensor = torch::empty(info->shape, torch::kUInt8);
  RETURN_IF_ERROR(source.ReadBytes(*info, {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()}));
  return tensor;
}

double LargestDifference(const torch::Tensor& actual, const torch::Tensor& expected, double scale) {
  if (actual.sizes() != expected.sizes()) return std::numeric_limits<double>::infinity();
  return LargestAbsolute(actual.cpu().to(torch::kDouble) - expected.to(torch::kDouble)) / scale;
}

}  // namespace ft::golden
