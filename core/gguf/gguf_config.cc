#include "core/gguf/gguf_config.h"

#include <charconv>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

namespace ft::gguf {
namespace {

constexpr std::string_view kArchitecture = "llama";

// The metadata's numbers are 32-bit; published configs write the short decimal (1e-05), which is not that
// number's double.
double ShortDecimal(double value) {
  const auto narrow = static_cast<float>(value);
  if (static_cast<double>(narrow) != value) return value;
  char text[32];
  const std::to_chars_result end = std::to_chars(text, text + sizeof(text), narrow);
  double decimal = value;
  std::from_chars(text, end.ptr, decimal);
  return decimal;
}

// Reads the keys that a config needs; the first problem ends it.
class ConfigBuilder {
 public:
  explicit ConfigBuilder(const GgufHeader& header) : header_(header), metadata_(header.metadata) {}
  StatusOr<std::string> Build();

 private:
  StatusOr<uint64_t> Count(const std::string& key) const;
  StatusOr<uint64_t> CountOr(const std::string& key, uint64_t fallback) const;
  StatusOr<double> NumberOr(const std::string& key, double fallback) const;
  Status AddSizes();
  Status AddRotary();
  Status AddTokens();

  const GgufHeader& header_;
  const GgufMetadata& metadata_;
  nlohmann::ordered_json config_;
  uint64_t head_dim_ = 0;
};

StatusOr<uint64_t> ConfigBuilder::Count(const std::string& key) const {
  const std::optional<uint64_t> count = metadata_.Count(key);
  if (count && *count > 0 && *count <= INT32_MAX) return *count;
  if (count)
    return absl::InvalidArgumentError(
        StrCat("metadata '", key, "' is ", *count, ", which no Llama model has"));
  return absl::InvalidArgumentError(StrCat("the metadata has no whole number '", key, "'"));
}

StatusOr<uint64_t> ConfigBuilder::CountOr(const std::string& key, uint64_t fallback) const {
  if (!metadata_.values().contains(key)) return fallback;
  return Count(key);
}

StatusOr<double> ConfigBuilder::NumberOr(const std::string& key, double fallback) const {
  if (!metadata_.values().contains(key)) return fallback;
  const double* number = metadata_.Get<double>(key);
  if (number == nullptr || !std::isfinite(*number) || *number <= 0) {
    return absl::InvalidArgumentError(StrCat("metadata '", key, "' is no positive number"));
  }
  return ShortDecimal(*number);
}

Status ConfigBuilder::AddSizes() {
  const GgufTensor* embedding = header_.Find("token_embd.weight");
  if (embedding == nullptr || embedding->sizes.size() != 2) {
    return absl::InvalidArgumentError("there is no embedding matrix 'token_embd.weight'");
  }
  ASSIGN_OR_RETURN(const uint64_t hidden, Count("llama.embedding_length"));
  ASSIGN_OR_RETURN(const uint64_t inner, Count("llama.feed_forward_length"));
  ASSIGN_OR_RETURN(const uint64_t layers, Count("llama.block_count"));
  ASSIGN_OR_RETURN(const uint64_t heads, Count("llama.attention.head_count"));
  ASSIGN_OR_RETURN(const uint64_t key_heads, CountOr("llama.attention.head_count_kv", heads));
  ASSIGN_OR_RETURN(const uint64_t context, Count("llama.context_length"));
  ASSIGN_OR_RETURN(const double epsilon, NumberOr("llama.attention.layer_norm_rms_epsilon", 1e-6));
  if (heads % key_heads != 0) {
    return absl::InvalidArgumentError(
        StrCat("its ", heads, " heads do not share ", key_heads, " key heads evenly"));
  }
  ASSIGN_OR_RETURN(head_dim_, CountOr("llama.attention.key_length", hidden / heads));
  ASSIGN_OR_RETURN(const uint64_t value_dim, CountOr("llama.attention.value_length", head_dim_));
  if (value_dim != head_dim_) {
    return absl::InvalidArgumentError("keys and values of different length are not supported");
  }
  config_["architectures"] = nlohmann::ordered_json::array({"LlamaForCausalLM"});
  config_["model_type"] = "llama";
  config_["hidden_act"] = "silu";
  config_["hidden_size"] = hidden;
  config_["intermediate_size"] = inner;
  config_["num_hidden_layers"] = layers;
  config_["num_attention_heads"] = heads;
  config_["num_key_value_heads"] = key_heads;
  config_["head_dim"] = head_dim_;
  config_["max_position_embeddings"] = context;
  config_["rms_norm_eps"] = epsilon;
  config_["vocab_size"] = embedding->sizes[1];
  config_["tie_word_embeddings"] = header_.Find("output.weight") == nullptr;
  config_["attention_bias"] = header_.Find("blk.0.attn_q.bias") != nullptr;
  config_["mlp_bias"] = header_.Find("blk.0.ffn_gate.bias") != nullptr;
  return absl::OkStatus();
}

Status ConfigBuilder::AddRotary() {
  ASSIGN_OR_RETURN(const double base, NumberOr("llama.rope.freq_base", 10000));
  config_["rope_theta"] = base;
  ASSIGN_OR_RETURN(const uint64_t rotated, CountOr("llama.rope.dimension_count", head_dim_));
  if (rotated != head_dim_) {
    return absl::InvalidArgumentError(
        StrCat("metadata 'llama.rope.dimension_count' is ", rotated, " where a head has ", head_dim_));
  }
  if (header_.Find("rope_freqs.weight") != nullptr) {
    return absl::InvalidArgumentError(
        "its rotary frequencies are scaled by the tensor 'rope_freqs.weight', whose settings GGUF does not "
        "keep; take the "
        "model's Hugging Face files");
  }
  ASSIGN_OR_RETURN(const uint64_t window, CountOr("llama.attention.sliding_window", 0));
  if (window != 0) {
    return absl::InvalidArgumentError(
        "metadata 'llama.attention.sliding_window' is set, which a Llama config cannot say");
  }
  const std::string* scaling = metadata_.Get<std::string>("llama.rope.scaling.type");
  if (scaling == nullptr || *scaling == "none") {
    config_["rope_scaling"] = nullptr;
    return absl::OkStatus();
  }
  if (*scaling != "linear") {
    return absl::InvalidArgumentError(
        StrCat("rotary scaling '", *scaling, "' is not read from GGUF; take the model's Hugging Face files"));
  }
  ASSIGN_OR_RETURN(const double factor, NumberOr("llama.rope.scaling.factor", 1));
  config_["rope_scaling"] = {{"type", "linear"}, {"factor", factor}};
  return absl::OkStatus();
}

Status ConfigBuilder::AddTokens() {
  const std::pair<const char*, const char*> keys[] = {{"bos_token_id", "tokenizer.ggml.bos_token_id"},
                                                      {"eos_token_id", "tokenizer.ggml.eos_token_id"},
                                                      {"pad_token_id", "tokenizer.ggml.padding_token_id"}};
  for (const auto& [name, key] : keys) {
    const std::optional<uint64_t> id = metadata_.Count(key);
    if (!id) continue;
    if (*id >= config_["vocab_size"].get<uint64_t>()) {
      return absl::InvalidArgumentError(StrCat("metadata '", key, "' is ", *id, ", which is no token"));
    }
    config_[name] = *id;
  }
  return absl::OkStatus();
}

StatusOr<std::string> ConfigBuilder::Build() {
  RETURN_IF_ERROR(AddSizes());
  RETURN_IF_ERROR(AddRotary());
  RETURN_IF_ERROR(AddTokens());
  return config_.dump(2) + "\n";
}

}  // namespace

Status CheckArchitecture(const GgufMetadata& metadata) {
  const std::string* architecture = metadata.Get<std::string>("general.architecture");
  if (architecture == nullptr) return absl::InvalidArgumentError("the metadata has no general.architecture");
  if (*architecture == kArchitecture) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("architecture '", *architecture,
             "' is not read from GGUF, only llama is; take the model's Hugging Face files"));
}

StatusOr<std::string> ConfigJson(const GgufHeader& header) {
  RETURN_IF_ERROR(CheckArchitecture(header.metadata));
  return ConfigBuilder(header).Build();
}

}  // namespace ft::gguf
