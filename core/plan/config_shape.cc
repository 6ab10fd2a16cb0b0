#include "core/plan/config_shape.h"

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
  bool Has(const char* key) const {
    const auto found = json_.find(key);
    return found != json_.end() && !found->is_null();
  }
  bool Flag(const char* key, bool otherwise) {
    const auto found = json_.find(key);
    return found != json_.end() && found->is_boolean() ? found->get<bool>() : otherwise;
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

// Biases, and norms beside two a block.
int64_t OtherParameters(Reader& read, std::string_view model_type, const ModelShape& s) {
  const int64_t q = s.heads * s.head_size, kv = s.key_heads * s.head_size;
  const bool intern = model_type == "internlm" || model_type == "internlm2";
  int64_t block = 0;
  if (model_type == "qwen2") block += q + 2 * kv;
  if (read.Flag("bias", intern) || read.Flag("attention_bias", false)) block += q + 2 * kv + s.hidden;
  if (model_type == "qwen3") block += 2 * s.head_size;
  if (model_type == "gemma2") block += 2 * s.hidden;
  return s.layers * block;
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
  return {};
}

ModelShape LlamaLike(Reader& read, std::string_view model_type) {
  const bool gemma = model_type == "gemma" || model_type == "gemma2";
  ModelShape s{.vocabulary = read.Size("vocab_size"),
               .hidden = read.Size("hidden_size"),
               .layers = read.Size("num_hidden_layers"),
               .heads = read.Size("num_attention_heads"),
               .intermediate = read.Size("intermediate_size"),
               .tied_head = read.Flag("tie_word_embeddings", gemma)};
  s.key_heads = read.SizeOr("num_key_value_heads", s.heads);
  if (gemma || model_type == "qwen3") {
    s.head_size = read.SizeOr("head_dim", gemma ? 256 : 128);
  } else {
    s.head_size = read.Has("head_dim") ? read.Size("head_dim") : read.HeadSize(s.hidden, s.heads);
  }
  s.projections = FusedProjections(model_type, s);
  s.other_parameters = OtherParameters(read, model_type, s);
  return s;
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
  Reader read(json, file);
  found.shape = ShapeOf(read, found.model_type);
  RETURN_IF_ERROR(read.status());
  return found;
}

}  // namespace ft::plan
