#include "worker/rank/load_model.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <system_error>

#include "core/base/file.h"
#include "worker/model/decoder/family.h"
#include "worker/model/params/read_slot.h"
#include "worker/model/weights/gguf.h"
#include "worker/model/weights/tensor_source.h"
#include "worker/train/checkpoint/expert_adapter.h"

namespace ft::rank {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 4 << 20;

bool IsThere(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// Counts the matrix to those of its name and size; in `used` those of experts alone.
void AddProjection(const model::StoredWeight& weight, std::vector<plan::Projection>& projections) {
  const std::string module = weight.name.substr(0, weight.name.size() - std::string_view(".weight").size());
  const plan::Projection own{module.substr(module.rfind('.') + 1), weight.shape[1], weight.shape[0]};
  const bool of_expert = weight.role.expert != model::kNoExpert;
  const auto same = [&](const plan::Projection& known) {
    return known.name == own.name && known.inputs == own.inputs && known.outputs == own.outputs &&
           (known.used > 0) == of_expert;
  };
  auto found = std::find_if(projections.begin(), projections.end(), same);
  if (found == projections.end()) found = projections.insert(found, own);
  ++found->count;
  if (of_expert) ++found->used;
}

// A source that tells each read.
class WatchedSource final : public weights::TensorSource {
 public:
  WatchedSource(const weights::TensorSource& source, const weights::ReadProgress& progress)
      : source_(source), progress_(progress) {
    for (const std::string& remark : source.remarks()) AddRemark(remark);
  }
  const std::vector<weights::TensorInfo>& tensors() const override { return source_.tensors(); }
  const weights::TensorInfo* Find(std::string_view name) const override { return source_.Find(name); }
  Status ReadBytes(const weights::TensorInfo& info, std::span<std::byte> out) const override {
    if (progress_) progress_();
    return source_.ReadBytes(info, out);
  }
  Status ReadPart(const weights::TensorInfo& info, uint64_t first, std::span<std::byte> out) const override {
    if (progress_) progress_();
    return source_.ReadPart(info, first, out);
  }

 private:
  const weights::TensorSource& source_;
  const weights::ReadProgress& progress_;
};

// "meta-llama/Llama-2-7b-hf": two parts and nothing that begins a path.
bool LooksLikeHubName(const std::string& name) {
  const size_t slash = name.find('/');
  return slash != std::string::npos && slash > 0 && slash + 1 < name.size() &&
         name.find('/', slash + 1) == std::string::npos && name[0] != '.' && name[0] != '~';
}

// Why a base that is not there is not there, and what to do.
Status NoBase(const std::string& model, const std::string& adapter, bool named_by_adapter) {
  if (!named_by_adapter)
    return absl::NotFoundError(StrCat("there is no model at ", model, ": give its folder with --model DIR"));
  return absl::NotFoundError(
      StrCat(adapter, ": adapter_config.json names ", model, " as its base, ",
             LooksLikeHubName(model) ? "which is a name on a model hub" : "where there is nothing",
             ": download that model and give its folder with --model DIR"));
}

}  // namespace

StatusOr<Trained> ResolveTrained(const std::string& model, const std::string& adapter) {
  Trained trained{.model = model};
  if (!adapter.empty() && IsThere(fs::path(adapter) / "config.json") &&
      !IsThere(fs::path(adapter) / "adapter_config.json")) {
    trained.model = adapter;
  } else if (!adapter.empty()) {
    trained.adapter = adapter;
    ASSIGN_OR_RETURN(const params::PeftConfig config, checkpoint::ReadAdapterConfig(trained.adapter));
    if (model.empty()) trained.model = config.base_model;
    if (trained.model.empty()) {
      return absl::InvalidArgumentError(
          StrCat(adapter, ": adapter_config.json names no base: give its folder with --model DIR"));
    }
    if (!IsThere(trained.model))
      return NoBase(trained.model.string(), adapter, trained.model == config.base_model);
  }
  if (!IsThere(trained.model)) return NoBase(trained.model.string(), adapter, false);
  std::error_code error;
  const fs::path told = trained.whole() ? trained.model : trained.adapter;
  if (fs::is_directory(told, error)) {
    ASSIGN_OR_RETURN(trained.text, checkpoint::ReadTextConfig(told));
  }
  return trained;
}

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

StatusOr<std::unique_ptr<run::LanguageModel>> LoadModel(const fs::path& model,
                                                        const run::ModelOptions& options,
                                                        const weights::ReadProgress& progress) {
  ASSIGN_OR_RETURN(const model::DecoderConfig config, ReadModelConfig(model));
  ASSIGN_OR_RETURN(const auto source, weights::OpenWeights(model));
  return run::LanguageModel::Load(config, WatchedSource(*source, progress), options);
}

StatusOr<std::unique_ptr<run::LanguageModel>> LoadTrained(const Trained& trained, run::ModelOptions options) {
  if (trained.whole()) return LoadModel(trained.model, options);
  ASSIGN_OR_RETURN(checkpoint::StoredAdapter adapter, checkpoint::OpenAdapter(trained.adapter));
  ASSIGN_OR_RETURN(const model::DecoderConfig config, ReadModelConfig(trained.model));
  RETURN_IF_ERROR(
      WithContext(checkpoint::SplitExperts(model::LayoutOf(config), adapter), trained.adapter.string()));
  options.attach_adapter = true;
  options.rank = adapter.config.rank;
  options.alpha = adapter.config.alpha;
  options.kind = adapter.config.kind;
  options.targets = adapter.modules;
  ASSIGN_OR_RETURN(std::unique_ptr<run::LanguageModel> loaded, LoadModel(trained.model, options));
  const Status taken = params::ReadValues(*adapter.tensors, loaded->store());
  if (!taken.ok())
    return WithContext(taken, StrCat(trained.adapter.string(), " does not fit ", trained.model.string()));
  return loaded;
}

plan::ModelShape ShapeOf(const model::DecoderConfig& config) {
  plan::ModelShape shape{.vocabulary = config.vocabulary,
                         .hidden = config.hidden,
                         .layers = config.layers,
                         .heads = config.heads,
                         .key_heads = config.key_heads,
                         .head_size = config.head_size,
                         .intermediate = config.intermediate,
                         .tied_head = config.tied_head};
  const model::Experts& experts = config.experts;
  if (experts.count > 0) {
    shape.chosen_experts = experts.chosen;
    shape.intermediate = experts.chosen * experts.width + experts.shared_width;
  }
  int64_t all = 0;
  for (const model::StoredWeight& weight : model::LayoutOf(config)) {
    all += std::accumulate(weight.shape.begin(), weight.shape.end(), int64_t{1}, std::multiplies<>());
    if (weight.role.part != model::Part::kProjection || weight.role.bias) continue;
    if (!weight.quantised() && !experts.adapted_router) continue;
    AddProjection(weight, shape.projections);
  }
  for (plan::Projection& projection : shape.projections) {
    // AddProjection counts those of experts here.
    projection.used = projection.used == 0 ? 0 : projection.used / experts.count * experts.chosen;
  }
  shape.other_parameters = all - plan::ParameterCount(shape);
  return shape;
}

}  // namespace ft::rank
