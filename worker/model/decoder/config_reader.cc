#include "worker/model/decoder/config_reader.h"

namespace ft::model {
namespace {

using nlohmann::json;

constexpr int64_t kFarthest = int64_t{1} << 40;

StatusOr<RopeScaling> Scaling(const json& object) {
  ConfigReader reader(object);
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

}  // namespace

const json* ConfigReader::Find(const char* key, bool optional) {
  const auto found = object_.find(key);
  if (found != object_.end() && !found->is_null()) return &*found;
  if (!optional) Complain(absl::InvalidArgumentError(StrCat(key, " is missing")));
  return nullptr;
}

int64_t ConfigReader::Integer(const char* key, std::optional<int64_t> standard) {
  const json* value = Find(key, standard.has_value());
  if (value == nullptr) return standard.value_or(0);
  if (!value->is_number_integer()) Complain(absl::InvalidArgumentError(StrCat(key, " is not an integer")));
  if (!value->is_number_integer()) return 0;
  // No size is near this, and sums and products of what is left stay within 64 bits.
  return std::clamp(value->get<int64_t>(), -kFarthest, kFarthest);
}

double ConfigReader::Number(const char* key, std::optional<double> standard) {
  const json* value = Find(key, standard.has_value());
  if (value == nullptr) return standard.value_or(0);
  if (!value->is_number()) Complain(absl::InvalidArgumentError(StrCat(key, " is not a number")));
  return value->is_number() ? value->get<double>() : 0;
}

bool ConfigReader::Boolean(const char* key, bool standard) {
  const json* value = Find(key, true);
  if (value == nullptr) return standard;
  if (!value->is_boolean()) Complain(absl::InvalidArgumentError(StrCat(key, " is neither true nor false")));
  return value->is_boolean() && value->get<bool>();
}

std::string ConfigReader::Text(const char* key, const char* standard) {
  const json* value = Find(key, true);
  if (value == nullptr) return standard;
  if (!value->is_string()) Complain(absl::InvalidArgumentError(StrCat(key, " is not a string")));
  return value->is_string() ? value->get<std::string>() : std::string();
}

bool ConfigReader::Has(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

bool ConfigReader::Null(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && found->is_null();
}

int64_t ConfigReader::Share(const char* key, int64_t size) {
  const double share = Number(key, 1);
  if (share > 0 && share <= 1) return static_cast<int64_t>(static_cast<double>(size) * share);
  Complain(absl::InvalidArgumentError(StrCat(key, " is not above 0 and at most 1")));
  return size;
}

const json* ConfigReader::Object(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && found->is_object() ? &*found : nullptr;
}

const json* ConfigReader::List(const char* key) {
  const json* value = Find(key, true);
  if (value == nullptr || value->is_array()) return value;
  Complain(absl::InvalidArgumentError(StrCat(key, " is not a list")));
  return nullptr;
}

int64_t ConfigReader::HeadSize(int64_t hidden, int64_t heads) {
  if (hidden < 1 || heads < 1) return 0;
  if (hidden % heads != 0) {
    Complain(absl::InvalidArgumentError(
        StrCat("hidden_size(", hidden, ") is no multiple of num_attention_heads(", heads, ")")));
  }
  return hidden / heads;
}

void ConfigReader::Require(const char* key, bool value, bool standard) {
  if (Boolean(key, standard) == value) return;
  Complain(absl::UnimplementedError(
      StrCat(key, " ", value ? "false" : "true", " is not supported by this version")));
}

void ConfigReader::RequireAbsent(std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (Has(key)) Complain(absl::UnimplementedError(StrCat(key, " is not supported by this version")));
  }
}

Activation ConfigReader::ActivationOf(const char* key, const char* standard) {
  const std::string name = Text(key, standard);
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "gelu") return Activation::kGelu;
  // Three writings of one formula.
  if (name == "gelu_pytorch_tanh" || name == "gelu_new" || name == "gelu_fast") return Activation::kGeluTanh;
  Complain(absl::UnimplementedError(
      StrCat(key, " \"", name, "\" is not supported (supported: silu, gelu, gelu_pytorch_tanh)")));
  return Activation::kSilu;
}

void ReadRope(ConfigReader& read, DecoderConfig& config) {
  Rotary& rotary = config.rotaries.front();
  rotary.theta = read.Number("rope_theta", 10000);
  // "rope_scaling", or "rope_parameters" in files of transformers 5.
  const json* rope = read.Object("rope_scaling");
  if (rope == nullptr) rope = read.Object("rope_parameters");
  if (rope == nullptr || !read.status().ok()) return;
  const StatusOr<RopeScaling> scaling = Scaling(*rope);
  if (!scaling.ok()) return read.Complain(scaling.status());
  rotary.scaling = *scaling;
  ConfigReader nested(*rope);
  rotary.theta = nested.Number("rope_theta", rotary.theta);
  read.Complain(WithContext(nested.status(), "rope_parameters"));
}

DecoderConfig CommonConfig(ConfigReader& read, int64_t head_size) {
  DecoderConfig config;
  config.vocabulary = read.Integer("vocab_size", std::nullopt);
  config.hidden = read.Integer("hidden_size", std::nullopt);
  config.layers = read.Integer("num_hidden_layers", std::nullopt);
  config.heads = read.Integer("num_attention_heads", std::nullopt);
  config.intermediate = read.Integer("intermediate_size", std::nullopt);
  config.key_heads = read.Integer("num_key_value_heads", config.heads);
  const bool divided = head_size == 0 && !read.Has("head_dim");
  config.head_size =
      divided ? read.HeadSize(config.hidden, config.heads) : read.Integer("head_dim", head_size);
  config.norm_epsilon = read.Number("rms_norm_eps", 1e-6);
  config.max_positions = read.Integer("max_position_embeddings", 2048);
  config.tied_head = read.Boolean("tie_word_embeddings", false);
  config.activation = read.ActivationOf("hidden_act", "silu");
  ReadRope(read, config);
  return config;
}

std::vector<bool> SlidingLayers(ConfigReader& read, int64_t layers) {
  std::vector<bool> slides;
  const json* list = read.List("layer_types");
  if (list == nullptr) return slides;
  if (static_cast<int64_t>(list->size()) != layers) {
    read.Complain(absl::InvalidArgumentError(
        StrCat("layer_types names ", list->size(), " layers, num_hidden_layers is ", layers)));
    return slides;
  }
  for (const json& type : *list) {
    const bool sliding = type == "sliding_attention";
    if (!sliding && type != "full_attention") {
      read.Complain(absl::UnimplementedError(
          StrCat("layer_types names ", type.is_string() ? type.get<std::string>() : "something else",
                 ", which is not supported (supported: full_attention, sliding_attention)")));
      return {};
    }
    slides.push_back(sliding);
  }
  return slides;
}

}  // namespace ft::model
