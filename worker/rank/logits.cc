#include "worker/rank/logits.h"

#include <unistd.h>

#include "core/base/file.h"
#include "nlohmann/json.hpp"
#include "worker/rank/flags.h"
#include "worker/rank/load_model.h"
#include "worker/rank/settings.h"
#include "worker/model/run/padded_batch.h"
#include "worker/model/weights/safetensors.h"

namespace ft::rank {
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

Status WriteLogits(const Flags& flags) {
  FixNumerics(static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)));
  ASSIGN_OR_RETURN(const auto rows, ReadTokens(flags.Get("tokens")));
  ASSIGN_OR_RETURN(const Trained trained, ResolveTrained(flags.Get("model"), flags.Get("adapter")));
  ASSIGN_OR_RETURN(const auto model,
                   LoadTrained(trained, {.dtype = flags.Get("dtype", "fp32"),
                                         .nf4_base = flags.Get("base", "stored") == "nf4"}));
  TellRemarks("logits", model->remarks());
  std::vector<torch::Tensor> logits;
  for (const std::vector<int64_t>& row : rows) {
    const auto length = static_cast<int64_t>(row.size());
    const run::PaddedBatch batch{.ids_BT = torch::tensor(row, torch::kInt64).unsqueeze(0), .lengths = {length}};
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

int LogitsVerb(const std::vector<std::string>& arguments) {
  const StatusOr<Flags> flags = Flags::Parse(arguments, {"model", "adapter", "tokens", "out", "dtype", "base"}, {});
  if (!flags.ok()) return Complain("logits", flags.status());
  if (!flags->Has("model") || !flags->Has("tokens") || !flags->Has("out") || !flags->positional().empty()) {
    return Complain("logits", absl::InvalidArgumentError("expects --model M [--adapter A] --tokens FILE --out FILE"));
  }
  const Status status = WriteLogits(*flags);
  return status.ok() ? 0 : Complain("logits", status);
}

}  // namespace ft::rank
