#include "worker/model/decoder/family_llama.h"

#include <charconv>
#include <optional>

namespace ft::model {
namespace {

using nlohmann::json;

// Reads typed values and remembers the first complaint, so that the mapping below reads as a table.
class Reader {
 public:
  explicit Reader(const json& object) : object_(object) {}

  int64_t Integer(const char* key, std::optional<int64_t> standard) {
    const json* value = Find(key, standard.has_value());
    if (value == nullptr) return standard.value_or(0);
    if (!value->is_number_integer()) Complain(StrCat(key, " is not an integer"));
    return value->is_number_integer() ? value->get<int64_t>() : 0;
  }
  double Number(const char* key, std::optional<double> standard) {
    const json* value = Find(key, standard.has_value());
    if (value == nullptr) return standard.value_or(0);
    if (!value->is_number()) Complain(StrCat(key, " is not a number"));
    return value->is_number() ? value->get<double>() : 0;
  }
  bool Boolean(const char* key, bool standard) {
    const json* value = Find(key, true);
    if (value == nullptr) return standard;
    if (!value->is_boolean()) Complain(StrCat(key, " is neither true nor false"));
    return value->is_boolean() && value->get<bool>();
  }
  std::string Text(const char* key, const char* standard) {
    const json* value = Find(key, true);
    if (value == nullptr) return standard;
    if (!value->is_string()) Complain(StrCat(key, " is not a string"));
    return value->is_string() ? value->get<std::string>() : std::string();
  }
  const Status& status() const { return status_; }

 private:
  const json* Find(const char* key, bool optional) {
    const auto found = object_.find(key);
    if (found != object_.end() && !found->is_null()) return &*found;
    if (!optional) Complain(StrCat(key, " is missing"));
    return nullptr;
  }
  void Complain(std::string what) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(what);
  }

  const json& object_;
  Status status_;
};

StatusOr<RopeScaling> Scaling(const json& object) {
  Reader reader(object);
  // Older files say "type", newer ones "rope_type".
  const std::string kind = reader.Text("rope_type", reader.Text("type", "default").c_str());
  RopeScaling scaling;
  if (kind == "linear") {
    scaling.kind = RopeScaling::Kind::kLinear;
  } else if (kind == "dynamic") {
    scaling.kind = RopeScaling::Kind::kDynamic;
  } else if (kind == "llama3") {
    scaling.kind = RopeScaling::Kind::kLlama3;
    scaling.low_frequency_factor = reader.Number("low_freq_factor", std::nullopt);
    scaling.high_frequency_factor = reader.Number("high_freq_factor", std::nullopt);
    scaling.original_positions = reader.Integer("original_max_position_embeddings", std::nullopt);
    if (reader.status().ok() &&
        !(scaling.high_frequency_factor > scaling.low_frequency_factor && scaling.original_positions > 0)) {
      return absl::InvalidArgumentError("rope_scaling: high_freq_factor must be above low_freq_factor");
    }
  } else if (kind != "default") {
    return absl::UnimplementedError(
        StrCat("rope_scaling of kind \"", kind,
               "\" is not supported by this version (supported: linear, dynamic, llama3)"));
  }
  if (scaling.kind != RopeScaling::Kind::kNone) scaling.factor = reader.Number("factor", std::nullopt);
  RETURN_IF_ERROR(WithContext(reader.status(), "rope_scaling"));
  return scaling;
}

// The object that describes rotary positions: "rope_scaling", or "rope_parameters" in files of
// transformers 5.
const json* RopeObject(const json& object) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto found = object.find(key);
    if (found != object.end() && found->is_object()) return &*found;
  }
  return nullptr;
}

}  // namespace

StatusOr<DecoderConfig> LlamaConfig(const json& object) {
  Reader reader(object);
  DecoderConfig config;
  config.vocabulary = reader.Integer("vocab_size", std::nullopt);
  config.hidden = reader.Integer("hidden_size", std::nullopt);
  config.layers = reader.Integer("num_hidden_layers", std::nullopt);
  config.heads = reader.Integer("num_attention_heads", std::nullopt);
  config.intermediate = reader.Integer("intermediate_size", std::nullopt);
  config.key_heads = reader.Integer("num_key_value_heads", config.heads);
  config.head_size = reader.Integer("head_dim", config.heads > 0 ? config.hidden / config.heads : 0);
  config.norm_epsilon = reader.Number("rms_norm_eps", 1e-6);
  config.rope_theta = reader.Number("rope_theta", 10000);
  config.max_positions = reader.Integer("max_position_embeddings", 2048);
  config.qkv_bias = config.output_bias = reader.Boolean("attention_bias", false);
  config.mlp_bias = reader.Boolean("mlp_bias", false);
  config.tied_head = reader.Boolean("tie_word_embeddings", false);
  const std::string activation = reader.Text("hidden_act", "silu");
  RETURN_IF_ERROR(reader.status());
  if (activation != "silu") {
    return absl::UnimplementedError(
        StrCat("hidden_act \"", activation, "\" is not supported (supported: silu)"));
  }
  if (const json* rope = RopeObject(object); rope != nullptr) {
    ASSIGN_OR_RETURN(config.rope_scaling, Scaling(*rope));
    Reader nested(*rope);
    config.rope_theta = nested.Number("rope_theta", config.rope_theta);
    RETURN_IF_ERROR(WithContext(nested.status(), "rope_parameters"));
  }
  return config;
}

Layout LlamaLayout(const DecoderConfig& config, const WeightNames& names) {
  const int64_t hidden = config.hidden, query = config.heads * config.head_size,
                key = config.key_heads * config.head_size;
  Layout layout = {{StrCat(names.embedding, ".weight"), {config.vocabulary, hidden}, {Part::kEmbedding}}};
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const std::string block = StrCat(names.blocks, layer, ".");
    const auto projection = [&](Site site, int64_t inputs, int64_t outputs, bool bias) {
      const std::string module = StrCat(block, names.projections[site]);
      layout.push_back({module + ".weight", {outputs, inputs}, {Part::kProjection, layer, site}});
      if (bias) layout.push_back({module + ".bias", {outputs}, {Part::kBias, layer, site}});
    };
    layout.push_back(
        {StrCat(block, names.attention_norm, ".weight"), {hidden}, {Part::kAttentionNorm, layer}});
    layout.push_back({StrCat(block, names.mlp_norm, ".weight"), {hidden}, {Part::kMlpNorm, layer}});
    projection(kQuery, hidden, query, config.qkv_bias);
    projection(kKey, hidden, key, config.qkv_bias);
    projection(kValue, hidden, key, config.qkv_bias);
    projection(kOutput, query, hidden, config.output_bias);
    projection(kGate, hidden, config.intermediate, config.mlp_bias);
    projection(kUp, hidden, config.intermediate, config.mlp_bias);
    projection(kDown, config.intermediate, hidden, config.mlp_bias);
  }
  layout.push_back({StrCat(names.final_norm, ".weight"), {hidden}, {Part::kFinalNorm}});
  if (!config.tied_head)
    layout.push_back({StrCat(names.head, ".weight"), {config.vocabulary, hidden}, {Part::kHead}});
  return layout;
}

bool IsWithinLlama(const DecoderConfig& config, const WeightNames& names, std::string_view name) {
  for (const std::string_view part : {names.embedding, names.final_norm, names.head}) {
    if (name.starts_with(StrCat(part, "."))) return true;
  }
  if (!name.starts_with(names.blocks)) return false;
  int64_t layer = 0;
  const char* begin = name.data() + names.blocks.size();
  const auto [end, error] = std::from_chars(begin, name.data() + name.size(), layer);
  return error != std::errc() || layer < config.layers;
}

std::string LlamaLayoutName(const DecoderConfig& config, const WeightNames& names, std::string_view stored) {
  // Tables that older versions of transformers stored; they follow from the configuration.
  if (stored.find(".rotary_emb.") != std::string_view::npos) return "";
  if (config.tied_head && stored == StrCat(names.head, ".weight")) return "";
  return std::string(stored);
}

}  // namespace ft::model
