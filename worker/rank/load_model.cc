#include "worker/rank/load_model.h"

#include <algorithm>

#include "core/base/file.h"
#include "worker/checkpoint/adapter.h"
#include "worker/model/family.h"
#include "worker/weights/gguf.h"
#include "worker/weights/safetensors.h"

namespace ft::rank {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 4 << 20;

}  // namespace

StatusOr<model::DecoderConfig> ReadModelConfig(const fs::path& model) {
  if (model.extension() == ".gguf") {
    ASSIGN_OR_RETURN(const auto file, weights::GgufFile::Open(model));
    ASSIGN_OR_RETURN(const std::string json, weights::GgufConfigJson(*file));
    return model::ParseConfig(json, model.string());
  }
  const fs::path path = model / "config.json";
  ASSIGN_OR_RETURN(const std::string json, ReadFile(path, kMaxConfigBytes));
  return model::ParseConfig(json, path.string());
}

StatusOr<std::unique_ptr<run::LanguageModel>> LoadModel(const fs::path& model, const run::ModelOptions& options) {
  ASSIGN_OR_RETURN(const model::DecoderConfig config, ReadModelConfig(model));
  ASSIGN_OR_RETURN(const auto source, weights::OpenWeights(model));
  return run::LanguageModel::Load(config, *source, options);
}

StatusOr<std::unique_ptr<run::LanguageModel>> LoadTrained(const fs::path& model, const fs::path& trained,
                                                          run::ModelOptions options) {
  if (trained.empty()) return LoadModel(model, options);
  if (fs::exists(trained / "config.json")) return LoadModel(trained, options);
  ASSIGN_OR_RETURN(const adapt::PeftConfig config, checkpoint::ReadAdapterConfig(trained));
  options.attach_adapter = true;
  options.rank = config.rank;
  options.alpha = config.alpha;
  options.targets = config.targets;
  std::replace(options.targets.begin(), options.targets.end(), std::string("all-linear"), std::string("all_linear"));
  ASSIGN_OR_RETURN(std::unique_ptr<run::LanguageModel> loaded, LoadModel(model, options));
  ASSIGN_OR_RETURN(const auto file, weights::SafetensorsFile::Open(trained / "adapter_model.safetensors"));
  RETURN_IF_ERROR(loaded->LoadParameters(*file));
  return loaded;
}

plan::ModelShape ShapeOf(const model::DecoderConfig& config) {
  return {.vocabulary = config.vocabulary, .hidden = config.hidden, .layers = config.layers, .heads = config.heads,
          .key_heads = config.key_heads, .head_size = config.head_size, .intermediate = config.intermediate,
          .tied_head = config.tied_head};
}

}  // namespace ft::rank
