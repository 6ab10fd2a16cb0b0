#include "core/plan/config_shape.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <vector>

#include "nlohmann/json.hpp"

namespace ft::plan {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostBytes = 1 << 20;
constexpr int kMostLevels = 64;
constexpr double kLargest =
    1 << 24;  // The largest that any one size may be: products of three stay far within 64 bits.

// Reads sizes; remembers the first that is wrong.
class Reader {
 public:
  Reader(const Json& json, std::string_view file) : json_(json), file_(file) {}

  int64_t Size(const char* key) {
    const auto found = json_.find(key);
    if (found == json_.end() || found->is_null()) return Wrong(StrCat("has no ", key));
    if (!found->is_number() || !(*found >= 1) || !(*found <= kLargest))
      return Wrong(StrCat(key, " is no size"));
    return found->get<int64_t>();
  }
  int64_t SizeOr(const char* key, int64_t otherwise) {
    const auto found = json_.find(key);
    return found == json_.end() || found->is_null() ? otherwise : Size(key);
  }
  // A size that may be 0.
  int64_t NumberOr(const char* key, int64_t otherwise) {
    const auto found = json_.find(key);
    return found != json_.end() && *found == 0 ? 0 : SizeOr(key, otherwise);
  }
  // How many of the listed numbers i below `most` have an i + 1 that is a multiple of `step`, each once.
  int64_t Listed(const char* key, int64_t step, int64_t most) const {
    const auto found = json_.find(key);
    std::set<int64_t> numbers;
    if (found == json_.end() || !found->is_array()) return 0;
    for (const Json& number : *found) {
      if (!number.is_number_integer() || number < 0 || number >= most) continue;
      if ((number.get<int64_t>() + 1) % step == 0) numbers.insert(number.get<int64_t>());
    }
    return static_cast<int64_t>(numbers.size());
  }
  bool Has(const char* key) const {
    const auto found = json_.find(key);
    return found != json_.end() && !found->is_null();
  }
  bool Flag(const char* key, bool otherwise) {
    const auto found = json_.find(key);
    return found != json_.end() && found->is_boolean() ? found->get<bool>() : otherwise;
  }
  // Those that layer_types does not let slide; without it every sixth.
  int64_t FullLayers(int64_t layers) const {
    const auto types = json_.find("layer_types");
    if (types == json_.end() || !types->is_array()) return layers / 6;
    return std::count(types->begin(), types->end(), Json("full_attention"));
  }
  // hidden / heads, which must be whole.
  int64_t HeadSize(int64_t hidden, int64_t heads) {
    if (hidden % heads != 0)
      Wrong(StrCat("has a width of ", hidden, " and ", heads, " heads, which do not divide it"));
    return hidden / heads;
  }
  const Status& status() const { return status_; }

 private:
  int64_t Wrong(const std::string& what) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(StrCat(file_, ": ", what));
    return 1;
  }

  const Json& json_;
  std::string_view file_;
  Status status_;
};

bool IsOf(std::string_view model_type, std::initializer_list<std::string_view> families) {
  return std::find(families.begin(), families.end(), model_type) != families.end();
}

// Biases, and norms beside two a block.
int64_t OtherParameters(Reader& read, std::string_view model_type, const ModelShape& s) {
  const int64_t q = s.heads * s.head_size, kv = s.key_heads * s.head_size;
  const bool intern = model_type == "internlm" || model_type == "internlm2";
  int64_t block = 0;
  if (model_type == "qwen2") block += q + 2 * kv;
  if (read.Flag("bias", intern) || read.Flag("attention_bias", model_type == "gpt_oss"))
    block += q + 2 * kv + s.hidden;
  if (IsOf(model_type, {"qwen3", "qwen3_moe"})) block += 2 * s.head_size;
  if (IsOf(model_type, {"gemma2", "gemma3", "gemma3_text", "gemma4", "gemma4_text", "glm4"}))
    block += 2 * s.hidden;
  if (IsOf(model_type, {"gemma3", "gemma3_text", "gemma4", "gemma4_text"})) block += 2 * s.head_size;
  if (IsOf(model_type, {"gemma4", "gemma4_text"})) ++block;
  if (IsOf(model_type, {"olmo2", "olmo3"})) block += q + kv;
  // Its output projection has none.
  if (model_type == "glm4" && read.Flag("attention_bias", false)) block -= s.hidden;
  return s.layers * block;
}

// Layers whose attention has sizes of its own: what they have more than the others.
int64_t ParametersOfFullLayers(Reader& read, const ModelShape& s) {
  const int64_t size = read.SizeOr("global_head_dim", 512);
  const bool value_is_key = read.Flag("attention_k_eq_v", false);
  const int64_t key_heads =
      value_is_key ? read.SizeOr("num_global_key_value_heads", s.key_heads) : s.key_heads;
  const int64_t own = 2 * s.heads * size + (value_is_key ? 1 : 2) * key_heads * size;
  const int64_t usual = 2 * s.heads * s.head_size + 2 * s.key_heads * s.head_size;
  return read.FullLayers(s.layers) * ((own - usual) * s.hidden + 2 * (size - s.head_size));
}

// What families of Llama's kind keep in matrices of their own; empty for Llama's seven.
std::vector<Projection> FusedProjections(std::string_view model_type, const ModelShape& s) {
  const int64_t q = s.heads * s.head_size, qkv = q + 2 * s.key_heads * s.head_size;
  if (model_type == "baichuan") {
    return {{"W_pack", s.hidden, qkv},
            {"o_proj", q, s.hidden},
            {"gate_proj", s.hidden, s.intermediate},
            {"up_proj", s.hidden, s.intermediate},
            {"down_proj", s.intermediate, s.hidden}};
  }
  if (model_type == "internlm2") {
    return {{"wqkv", s.hidden, qkv},
            {"wo", q, s.hidden},
            {"w1", s.hidden, s.intermediate},
            {"w3", s.hidden, s.intermediate},
            {"w2", s.intermediate, s.hidden}};
  }
  if (model_type == "phi3") {
    return {{"qkv_proj", s.hidden, qkv},
            {"o_proj", q, s.hidden},
            {"gate_up_proj", s.hidden, 2 * s.intermediate},
            {"down_proj", s.intermediate, s.hidden}};
  }
  if (model_type == "glm4") {
    return {{"q_proj", s.hidden, q},
            {"k_proj", s.hidden, s.key_heads * s.head_size},
            {"v_proj", s.hidden, s.key_heads * s.head_size},
            {"o_proj", q, s.hidden},
            {"gate_up_proj", s.hidden, 2 * s.intermediate},
            {"down_proj", s.intermediate, s.hidden}};
  }
  return {};
}

// What a family with experts calls them, and its defaults.
struct ExpertKeys {
  const char* count;
  int64_t counted = 0;
  int64_t chosen = 0;
  const char* width;
  int64_t wide = 0;
  int64_t layers = 0;  // That have experts.
  int64_t shared = 0;  // Experts' widths that every token passes.
  bool adapted_router = true;
  bool fused = false;   // Gate and up in one, and biases everywhere.
  bool latent = false;  // Keys and values come from one.
  std::vector<const char*> names = {"gate_proj", "up_proj", "down_proj"};
};

std::vector<Projection> AttentionProjections(const ModelShape& s) {
  const int64_t q = s.heads * s.head_size, kv = s.key_heads * s.head_size;
  return {
      {"q_proj", s.hidden, q}, {"k_proj", s.hidden, kv}, {"v_proj", s.hidden, kv}, {"o_proj", q, s.hidden}};
}

std::vector<Projection> LatentProjections(Reader& read, ModelShape& s) {
  const int64_t rank = read.SizeOr("kv_lora_rank", 512), plain = read.SizeOr("qk_nope_head_dim", 128),
                turned = read.SizeOr("qk_rope_head_dim", 64),
                value = s.heads * read.SizeOr("v_head_dim", 128);
  s.other_parameters = s.layers * rank;  // Norms.
  if (read.Flag("attention_bias", false)) s.other_parameters += s.layers * (rank + turned + s.hidden);
  return {{"q_proj", s.hidden, s.heads * (plain + turned)},
          {"kv_a_proj_with_mqa", s.hidden, rank + turned},
          {"kv_b_proj", rank, s.heads * plain + value},
          {"o_proj", value, s.hidden}};
}

// The products of attention, the MLPs of dense layers, and experts.
void AddExperts(Reader& read, const ExpertKeys& keys, ModelShape& s) {
  const int64_t experts = read.SizeOr(keys.count, keys.counted), width = read.SizeOr(keys.width, keys.wide);
  const int64_t dense = std::max<int64_t>(0, s.layers - keys.layers);
  s.chosen_experts = read.SizeOr("num_experts_per_tok", keys.chosen);
  s.projections = keys.latent ? LatentProjections(read, s) : AttentionProjections(s);
  if (keys.fused) {
    const int64_t count = keys.layers * experts, used = keys.layers * s.chosen_experts;
    s.projections.push_back({"gate_up_proj", s.hidden, 2 * width, count, used});
    s.projections.push_back({"down_proj", width, s.hidden, count, used});
    // Sinks, and biases of routers and experts.
    s.other_parameters += s.layers * (s.heads + experts) + count * (2 * width + s.hidden);
  }
  const auto add = [&](int64_t wide, int64_t count, int64_t used) {
    if (wide == 0 || count == 0 || keys.fused) return;
    for (size_t i = 0; i < 3; ++i)
      s.projections.push_back({keys.names[i], i < 2 ? s.hidden : wide, i < 2 ? wide : s.hidden, count, used});
  };
  add(s.intermediate, dense, 0);
  add(keys.shared * width, keys.layers, 0);
  add(width, keys.layers * experts, keys.layers * s.chosen_experts);
  if (keys.adapted_router && keys.layers > 0) {
    s.projections.push_back({"gate", s.hidden, experts, keys.layers, 0});
  } else {
    s.other_parameters += s.hidden * experts * keys.layers;
  }
  s.intermediate = (s.chosen_experts + keys.shared) * width;
}

void AddExpertsOf(Reader& read, std::string_view model_type, ModelShape& s) {
  if (model_type == "mixtral") {
    AddExperts(read,
               {.count = "num_local_experts",
                .counted = 8,
                .chosen = 2,
                .width = "intermediate_size",
                .layers = s.layers,
                .names = {"w1", "w3", "w2"}},
               s);
  }
  if (model_type == "gpt_oss") {
    AddExperts(read,
               {.count = "num_local_experts",
                .counted = 128,
                .chosen = 4,
                .width = "intermediate_size",
                .layers = s.layers,
                .adapted_router = false,
                .fused = true},
               s);
  }
  if (model_type == "qwen3_moe") {
    const int64_t step = read.SizeOr("decoder_sparse_step", 1);
    AddExperts(read,
               {.count = "num_experts",
                .counted = 128,
                .chosen = 8,
                .width = "moe_intermediate_size",
                .wide = 768,
                .layers = s.layers / step - read.Listed("mlp_only_layers", step, s.layers)},
               s);
  }
  if ((model_type == "deepseek" && read.Has("n_routed_experts")) || model_type == "deepseek_v2") {
    const int64_t first = read.NumberOr("first_k_dense_replace", 0),
                  frequency = read.SizeOr("moe_layer_freq", 1);
    const auto below = [&](int64_t layers) { return (layers + frequency - 1) / frequency; };
    AddExperts(
        read,
        {.count = "n_routed_experts",
         .width = "moe_intermediate_size",
         .wide = 1407,
         .layers = read.Has("n_routed_experts") ? below(s.layers) - below(std::min(first, s.layers)) : 0,
         .shared = read.NumberOr("n_shared_experts", 0),
         .adapted_router = false,
         .latent = model_type == "deepseek_v2"},
        s);
  }
}

ModelShape LlamaLike(Reader& read, std::string_view model_type) {
  const bool gemma = model_type.starts_with("gemma");
  ModelShape s{.vocabulary = read.Size("vocab_size"),
               .hidden = read.Size("hidden_size"),
               .layers = read.Size("num_hidden_layers"),
               .heads = read.Size("num_attention_heads"),
               .intermediate = read.Size("intermediate_size"),
               .tied_head = read.Flag("tie_word_embeddings", gemma || model_type == "smollm3")};
  s.key_heads = read.SizeOr("num_key_value_heads", s.heads);
  if (model_type == "deepseek_v2") {
    s.head_size = read.SizeOr("qk_nope_head_dim", 128) + read.SizeOr("qk_rope_head_dim", 64);
  } else if (gemma || IsOf(model_type, {"qwen3", "glm4", "gpt_oss"})) {
    s.head_size = read.SizeOr("head_dim", gemma ? 256 : model_type == "gpt_oss" ? 64 : 128);
  } else {
    s.head_size = read.Has("head_dim") ? read.Size("head_dim") : read.HeadSize(s.hidden, s.heads);
  }
  s.projections = FusedProjections(model_type, s);
  s.other_parameters = OtherParameters(read, model_type, s);
  AddExpertsOf(read, model_type, s);
  if (IsOf(model_type, {"gemma4", "gemma4_text"})) s.other_parameters += ParametersOfFullLayers(read, s);
  return s;
}

// What files of the family leave out is as in its 4B model.
Json WithGemma3Defaults(const Json& text) {
  Json all = {{"vocab_size", 262208},       {"hidden_size", 2304},      {"intermediate_size", 9216},
              {"num_hidden_layers", 26},    {"num_attention_heads", 8}, {"num_key_value_heads", 4},
              {"tie_word_embeddings", true}};
  all.update(text);
  return all;
}

// The sizes of a model's text part: of image models what text_config says, with what stands in it or not.
Json SizesOf(const Json& json, std::string_view model_type, std::string_view file, Status& status) {
  Json text = json;
  if (IsOf(model_type, {"gemma3", "gemma4"})) {
    const auto found = json.find("text_config");
    if (found == json.end() || !found->is_object()) {
      status = absl::InvalidArgumentError(StrCat(file, ": has no text_config"));
      return Json::object();
    }
    text = *found;
    if (json.contains("tie_word_embeddings")) text["tie_word_embeddings"] = json["tie_word_embeddings"];
  }
  return IsOf(model_type, {"gemma3", "gemma3_text"}) ? WithGemma3Defaults(text) : text;
}

ModelShape Qwen(Reader& read) {
  ModelShape s{.vocabulary = read.Size("vocab_size"),
               .hidden = read.Size("hidden_size"),
               .layers = read.Size("num_hidden_layers"),
               .heads = read.Size("num_attention_heads"),
               .intermediate = read.Size("intermediate_size") / 2,
               .tied_head = read.Flag("tie_word_embeddings", false)};
  s.key_heads = s.heads;
  s.head_size = read.SizeOr("kv_channels", read.HeadSize(s.hidden, s.heads));
  const int64_t q = s.heads * s.head_size;
  s.projections = {{"c_attn", s.hidden, 3 * q},
                   {"c_proj", q, s.hidden},
                   {"w1", s.hidden, s.intermediate},
                   {"w2", s.hidden, s.intermediate},
                   {"c_proj", s.intermediate, s.hidden}};
  s.other_parameters = s.layers * 3 * q;
  return s;
}

ModelShape ChatGlm(Reader& read) {
  ModelShape s{.vocabulary = read.Size("padded_vocab_size"),
               .hidden = read.Size("hidden_size"),
               .layers = read.Size("num_layers"),
               .heads = read.Size("num_attention_heads"),
               .intermediate = read.Size("ffn_hidden_size"),
               .tied_head = read.Flag("tie_word_embeddings", false)};
  s.key_heads = read.Flag("multi_query_attention", false) ? read.Size("multi_query_group_num") : s.heads;
  s.head_size = read.SizeOr("kv_channels", read.HeadSize(s.hidden, s.heads));
  const int64_t q = s.heads * s.head_size, qkv = q + 2 * s.key_heads * s.head_size;
  s.projections = {{"query_key_value", s.hidden, qkv},
                   {"dense", q, s.hidden},
                   {"dense_h_to_4h", s.hidden, 2 * s.intermediate},
                   {"dense_4h_to_h", s.intermediate, s.hidden}};
  if (read.Flag("add_qkv_bias", false)) s.other_parameters = s.layers * qkv;
  return s;
}

// StarCoder: one key head, a plain MLP, biases everywhere, learned positions.
ModelShape GptBigCode(Reader& read) {
  ModelShape s{.vocabulary = read.Size("vocab_size"),
               .hidden = read.Size("n_embd"),
               .layers = read.Size("n_layer"),
               .heads = read.Size("n_head"),
               .tied_head = read.Flag("tie_word_embeddings", true)};
  s.intermediate = read.SizeOr("n_inner", 4 * s.hidden);
  s.key_heads = read.Flag("multi_query", true) ? 1 : s.heads;
  s.head_size = read.HeadSize(s.hidden, s.heads);
  const int64_t qkv = s.hidden + 2 * s.key_heads * s.head_size;
  s.projections = {{"c_attn", s.hidden, qkv},
                   {"c_proj", s.hidden, s.hidden},
                   {"c_fc", s.hidden, s.intermediate},
                   {"c_proj", s.intermediate, s.hidden}};
  const int64_t biases = qkv + s.hidden + s.intermediate + s.hidden;
  const int64_t norms = (2 * s.layers + 1) * s.hidden;
  s.other_parameters = s.layers * biases + norms + read.Size("n_positions") * s.hidden;
  return s;
}

ModelShape ShapeOf(Reader& read, std::string_view model_type) {
  if (model_type == "qwen") return Qwen(read);
  if (model_type == "chatglm") return ChatGlm(read);
  if (model_type == "gpt_bigcode") return GptBigCode(read);
  return LlamaLike(read, model_type);
}

}  // namespace

StatusOr<ConfigShape> ShapeOfConfig(std::string_view json_text, std::string_view file) {
  bool too_deep = json_text.size() > kMostBytes;
  const auto watch = [&too_deep](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMostLevels;
    return !too_deep;
  };
  const Json json = too_deep ? Json() : Json::parse(json_text, watch, /*allow_exceptions=*/false);
  if (too_deep || !json.is_object()) {
    return absl::InvalidArgumentError(
        StrCat(file, ": not a JSON object of at most ", kMostBytes, " bytes and ", kMostLevels, " levels"));
  }
  const auto type = json.find("model_type");
  ConfigShape found{.model_type =
                        type != json.end() && type->is_string() ? type->get<std::string>() : std::string()};
  Status nested;
  const Json sizes = SizesOf(json, found.model_type, file, nested);
  RETURN_IF_ERROR(nested);
  Reader read(sizes, file);
  found.shape = ShapeOf(read, found.model_type);
  RETURN_IF_ERROR(read.status());
  return found;
}

}  // namespace ft::plan
