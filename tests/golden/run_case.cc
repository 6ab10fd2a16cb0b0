#include "tests/golden/run_case.h"

#include <exception>
#include <utility>

#include "tests/golden/chat_templates_case.h"
#include "tests/golden/mmlu_case.h"
#include "tests/golden/model_case.h"
#include "tests/golden/quant_cases.h"
#include "tests/golden/tokenizer_case.h"

namespace ft::golden {
namespace {

namespace fs = std::filesystem;

bool Has(const fs::path& folder, const char* file) {
  std::error_code error;
  return fs::exists(folder / file, error);
}

StatusOr<std::vector<Measure>> Measures(const fs::path& folder, const std::string& dtype, at::Device device,
                                        std::vector<std::string>& skipped) {
  const auto has = [&](const char* file) { return Has(folder, file); };
  if (has("nf4.safetensors")) return Nf4Case(folder, device);
  if (has("int8.safetensors")) return Int8Case(folder, device);
  if (has("adamw.safetensors")) return AdamW8bitCase(folder, device);
  if (has("mxfp4.safetensors")) return Mxfp4Case(folder);
  if (has("results.json")) return MmluCase(folder);
  if (has("conversations.json")) return ChatTemplatesCase(folder);
  if (has("strings.json")) return TokenizerCase(folder, skipped);
  if (has("base_4bit.safetensors") && has("adapter_initial")) return QloraStepCase(folder, device);
  if (has("config.json") && has("input.json") && has("expected.safetensors"))
    return ModelCase(folder, dtype, device, skipped);
  return absl::UnimplementedError("no kind of case that this version compares");
}

}  // namespace

bool IsCase(const fs::path& folder) {
  return Has(folder, "expected.safetensors") || Has(folder, "nf4.safetensors") ||
         Has(folder, "int8.safetensors") || Has(folder, "results.json") || Has(folder, "mxfp4.safetensors") ||
         Has(folder, "strings.json") || Has(folder, "adamw.safetensors") || Has(folder, "conversations.json");
}

CaseResult RunCase(const fs::path& folder, const std::string& dtype, at::Device device) {
  CaseResult result;
  result.name = fs::path(folder / "").parent_path().filename().string();
  try {
    StatusOr<std::vector<Measure>> measures = Measures(folder, dtype, device, result.skipped);
    if (measures.ok()) {
      result.measures = *std::move(measures);
    } else {
      result.status = measures.status();
    }
  } catch (const std::exception& error) {  // LibTorch's.
    result.status = absl::InternalError(error.what());
  }
  return result;
}

}  // namespace ft::golden
