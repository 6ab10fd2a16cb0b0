// Baichuan 1 and 2, 7B and 13B, which share one model_type: queries, keys and values in one matrix. Which of the four it is the keys
// of the file tell, not sizes.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

// Baichuan 2's, where a file was saved again without its tokenizer_class.
constexpr int64_t kSecondVocabulary = 125696;

DecoderConfig Config(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read);
  // The 13B's have no positions but those of ALiBi, and no maximum of them.
  config.alibi = !read.Has("max_position_embeddings");
  if (config.alibi) {
    config.max_positions = read.Integer("model_max_length", 4096);
    config.rotaries.clear();
    if (config.layers > 0 && config.layers <= 4000)
      config.plan.assign(static_cast<size_t>(config.layers), {.rotary = LayerPlan::kNoRotary});
  }
  config.normalised_head = read.Has("tokenizer_class") || config.vocabulary == kSecondVocabulary;
  return config;
}

std::vector<Product> Products(const DecoderConfig& c) {
  const int64_t query = c.heads * c.head_size, key = c.key_heads * c.head_size;
  std::vector<Product> products = SeparateProducts(c);
  products.erase(products.begin(), products.begin() + 3);
  products.insert(products.begin(),
                  InTurn("self_attn.W_pack", c.hidden,
                         {{Use::kQuery, query}, {Use::kKey, key}, {Use::kValue, key}}, c.qkv_bias));
  return products;
}

}  // namespace

FamilyRows BaichuanFamilies() {
  static const Family rows[] = {{.model_type = "baichuan", .config = Config, .products = Products}};
  return rows;
}

}  // namespace ft::model
