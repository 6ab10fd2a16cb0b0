// Typed values of a config.json for the families: a reader that remembers the first complaint, so that a family reads as a table,
// and what most of them share.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "worker/model/decoder/config.h"

namespace ft::model {

class ConfigReader {
 public:
  // The object outlives the reader.
  explicit ConfigReader(const nlohmann::json& object) : object_(object) {}

  // The value of `key`; where the key is missing or null, `standard`, and a complaint where there is none.
  int64_t Integer(const char* key, std::optional<int64_t> standard);
  double Number(const char* key, std::optional<double> standard);
  bool Boolean(const char* key, bool standard);
  std::string Text(const char* key, const char* standard);
  bool Has(const char* key) const;   // There, and not null.
  bool Null(const char* key) const;  // There, and null.
  // The share of `size` that a number from 0 to 1 says; all where the key is missing.
  int64_t Share(const char* key, int64_t size);
  const nlohmann::json& object() const { return object_; }
  // Null where there is no such object, no such list.
  const nlohmann::json* Object(const char* key) const;
  const nlohmann::json* List(const char* key);  // Complains of what is no list.

  // hidden / heads: INVALID_ARGUMENT where the heads do not divide it.
  int64_t HeadSize(int64_t hidden, int64_t heads);
  // An option that changes the result and is not built unless it has this value.
  void Require(const char* key, bool value, bool standard);
  void RequireAbsent(std::initializer_list<const char*> keys);
  // UNIMPLEMENTED where the value is no activation that is built.
  Activation ActivationOf(const char* key, const char* standard);

  void Complain(Status complaint) {
    if (status_.ok()) status_ = std::move(complaint);
  }
  const Status& status() const { return status_; }

 private:
  const nlohmann::json* Find(const char* key, bool optional);

  const nlohmann::json& object_;
  Status status_;
};

// What configurations of Llama's kind have in common: sizes, RMS norms, rotary positions with rope_theta and their scaling, silu. Keys
// and defaults as Hugging Face's LlamaConfig; biases are the caller's. `head_size`: where the file has no head_dim; 0 = hidden_size /
// num_attention_heads. Complains to the reader.
DecoderConfig CommonConfig(ConfigReader& read, int64_t head_size = 0);

// The text part of an image model: text_config as `text` reads it, and whether the head is the embedding as the whole model says it.
// Complaints name text_config, also where there is none.
DecoderConfig ReadTextPart(ConfigReader& read, DecoderConfig (*text)(ConfigReader& read));

// rope_theta, rope_scaling or rope_parameters of the configuration's only table.
void ReadRope(ConfigReader& read, DecoderConfig& config);
// A table from such an object; what that does not say stays. REQUIRES: config.max_positions is read.
void ReadRotary(ConfigReader& read, const nlohmann::json& rope, const DecoderConfig& config, Rotary& rotary);
// rope_parameters of one kind of layers (full_attention, sliding_attention); null where there are none.
const nlohmann::json* RopeOfKind(const ConfigReader& read, const char* layer_type);
// Values of a head that turn, by partial_rotary_factor, which newer files have within rope_parameters.
int64_t ReadTurned(ConfigReader& read, int64_t head_size, double standard);

// What YaRN multiplies queries and keys by each where rope_scaling has mscale_all_dim; else 1.
double YarnSharpness(ConfigReader& read);

// layer_types: whether each layer slides. INVALID_ARGUMENT where the list has another length or other words; empty where there is none.
std::vector<bool> SlidingLayers(ConfigReader& read, int64_t layers);

// Plans of sliding windows: layer_types where the file has it, else `slides(layer)`. No windows without a size.
template <typename Slides>
void ReadWindows(ConfigReader& read, DecoderConfig& config, int64_t window, Slides slides) {
  const std::vector<bool> listed = SlidingLayers(read, config.layers);
  if (window <= 0 || !read.status().ok() || config.layers > 4000) return;
  config.plan.assign(static_cast<size_t>(std::max<int64_t>(config.layers, 0)), LayerPlan());
  for (size_t i = 0; i < config.plan.size(); ++i) {
    if (listed.empty() ? slides(static_cast<int64_t>(i)) : listed[i]) config.plan[i].window = window;
  }
}

// The routers' loss over all layers, where output_router_logits asks for it: router_aux_loss_coef.
void ReadModelBalance(ConfigReader& read, DecoderConfig& config);

// Experts in the layers of which `has_experts(layer)` holds. After the windows, which begin the plans anew.
template <typename HasExperts>
void PlaceExperts(DecoderConfig& config, HasExperts has_experts) {
  if (config.layers < 1 || config.layers > 4000) return;  // Validate() says so.
  config.plan.resize(static_cast<size_t>(config.layers));
  for (size_t i = 0; i < config.plan.size(); ++i)
    config.plan[i].experts = has_experts(static_cast<int64_t>(i));
}

}  // namespace ft::model
