#include "worker/model/decoder/config_reader.h"

#include "worker/model/decoder/rope_scaling.h"

namespace ft::model {
namespace {

using nlohmann::json;

constexpr int64_t kFarthest = int64_t{1} << 40;

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

DecoderConfig ReadTextPart(ConfigReader& read, DecoderConfig (*text)(ConfigReader& read)) {
  const json* part = read.Object("text_config");
  if (part == nullptr) {
    read.Complain(absl::InvalidArgumentError(
        "text_config is missing: an image model without a part for text cannot be trained"));
    return {};
  }
  ConfigReader inner(*part);
  DecoderConfig config = text(inner);
  read.Complain(WithContext(inner.status(), "text_config"));
  config.tied_head = read.Boolean("tie_word_embeddings", config.tied_head);
  return config;
}

void ReadRotary(ConfigReader& read, const json& rope, const DecoderConfig& config, Rotary& rotary) {
  const RopeContext context{config.max_positions, read.Integer("original_max_position_embeddings", 0)};
  if (!read.status().ok()) return;
  StatusOr<RopeScaling> scaling = ReadRopeScaling(rope, context);
  if (!scaling.ok()) return read.Complain(scaling.status());
  rotary.scaling = *std::move(scaling);
  ConfigReader nested(rope);
  rotary.theta = nested.Number("rope_theta", rotary.theta);
  read.Complain(WithContext(nested.status(), "rope_parameters"));
}

void ReadRope(ConfigReader& read, DecoderConfig& config) {
  Rotary& rotary = config.rotaries.front();
  rotary.theta = read.Number("rope_theta", 10000);
  // "rope_scaling", or "rope_parameters" in files of transformers 5.
  const json* rope = read.Object("rope_scaling");
  if (rope == nullptr) rope = read.Object("rope_parameters");
  if (rope != nullptr) ReadRotary(read, *rope, config, rotary);
}

const json* RopeOfKind(const ConfigReader& read, const char* layer_type) {
  const json* all = read.Object("rope_parameters");
  if (all == nullptr) return nullptr;
  const auto found = all->find(layer_type);
  return found != all->end() && found->is_object() ? &*found : nullptr;
}

int64_t ReadTurned(ConfigReader& read, int64_t head_size, double standard) {
  const json* rope = read.Object("rope_parameters");
  const bool inside =
      !read.Has("partial_rotary_factor") && rope != nullptr && rope->contains("partial_rotary_factor");
  ConfigReader nested(inside ? *rope : read.object());
  if (!nested.Has("partial_rotary_factor"))
    return static_cast<int64_t>(static_cast<double>(head_size) * standard);
  const int64_t turned = nested.Share("partial_rotary_factor", head_size);
  read.Complain(nested.status());
  return turned;
}

double YarnSharpness(ConfigReader& read) {
  const json* rope = read.Object("rope_scaling");
  if (rope == nullptr) rope = read.Object("rope_parameters");
  if (rope == nullptr) return 1;
  ConfigReader nested(*rope);
  const double all = nested.Number("mscale_all_dim", 0), factor = nested.Number("factor", 1);
  read.Complain(WithContext(nested.status(), "rope_scaling"));
  return all == 0 ? 1 : YarnMagnitude(factor, all);
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

void ReadModelBalance(ConfigReader& read, DecoderConfig& config) {
  if (!read.Boolean("output_router_logits", false)) return;
  config.experts.balance_weight = read.Number("router_aux_loss_coef", 0.001);
  if (config.experts.balance_weight != 0) config.experts.balance = Experts::Balance::kModel;
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
