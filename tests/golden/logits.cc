#include "tests/golden/logits.h"

#include <unistd.h>

#include <cstdio>

#include "core/base/file.h"
#include "nlohmann/json.hpp"
#include "worker/model/run/padded_batch.h"
#include "worker/model/weights/safetensors.h"
#include "worker/rank/device.h"
#include "worker/rank/flags.h"
#include "worker/rank/load_model.h"
#include "worker/rank/settings.h"

namespace ft::golden {
namespace {

constexpr uint64_t kMaxTokensFileBytes = 64 << 20;

StatusOr<std::vector<std::vector<int64_t>>> ReadTokens(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxTokensFileBytes));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const Status broken = absl::InvalidArgumentError(StrCat(path, " is not a list of lists of token ids"));
  if (!json.is_array()) return broken;
  std::vector<std::vector<int64_t>> rows;
  for (const nlohmann::json& row : json) {
    if (!row.is_array() || row.empty()) return broken;
    for (const nlohmann::json& id : row) {
      if (!id.is_number_integer()) return broken;
    }
    rows.push_back(row.get<std::vector<int64_t>>());
  }
  return rows;
}

Status WriteLogits(const rank::Flags& flags) {
  ASSIGN_OR_RETURN(const at::Device device, rank::OpenDevice(flags.Get("device", "cpu")));
  rank::FixNumerics(static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)));
  ASSIGN_OR_RETURN(const auto rows, ReadTokens(flags.Get("tokens")));
  ASSIGN_OR_RETURN(const rank::Trained trained,
                   rank::ResolveTrained(flags.Get("model"), flags.Get("adapter")));
  ASSIGN_OR_RETURN(const auto model, rank::LoadTrained(trained, {.dtype = flags.Get("dtype", "fp32"),
                                                                 .base = flags.Get("base", "stored") == "nf4"
                                                                             ? params::BaseKind::kNf4
                                                                             : params::BaseKind::kStored,
                                                                 .device = device}));
  for (const std::string& remark : model->remarks())
    std::fprintf(stderr, "ft-golden logits: note: %s\n", remark.c_str());
  std::vector<torch::Tensor> logits;
  for (const std::vector<int64_t>& row : rows) {
    const auto length = static_cast<int64_t>(row.size());
    const run::PaddedBatch batch{.ids_BT = torch::tensor(row, torch::kInt64).unsqueeze(0),
                                 .lengths = {length}};
    ASSIGN_OR_RETURN(const run::PackedRows rows_N, run::Pack(batch, model->config().vocabulary));
    logits.push_back(model->Logits(rows_N).contiguous());
  }
  std::vector<weights::TensorData> tensors;
  for (size_t i = 0; i < logits.size(); ++i) {
    tensors.push_back({{StrCat(i), weights::DType::kF32, logits[i].sizes().vec()},
                       {static_cast<const std::byte*>(logits[i].const_data_ptr()), logits[i].nbytes()}});
  }
  return weights::WriteSafetensors(flags.Get("out"), tensors, {}).status();
}

}  // namespace

StatusOr<bool> LogitsVerb(const std::vector<std::string>& arguments) {
  ASSIGN_OR_RETURN(
      const rank::Flags flags,
      rank::Flags::Parse(arguments, {"model", "adapter", "tokens", "out", "dtype", "base", "device"}, {}));
  if (!flags.Has("model") || !flags.Has("tokens") || !flags.Has("out") || !flags.positional().empty()) {
    return absl::InvalidArgumentError("expects --model M [--adapter A] --tokens FILE --out FILE");
  }
  RETURN_IF_ERROR(WriteLogits(flags));
  return true;
}

}  // namespace ft::golden
