#include "worker/model/decoder/families.h"

#include <algorithm>

namespace ft::model {
namespace {

const std::vector<Family>& Table() {
  static const std::vector<Family> table = [] {
    std::vector<Family> rows;
    for (const FamilyRows& file :
         {LlamaFamilies(), MistralFamilies(), QwenFamilies(), Qwen2Families(), InternLmFamilies(),
          BaichuanFamilies(), ChatGlmFamilies(), GptBigCodeFamilies(), GemmaFamilies(), Phi3Families(),
          MixtralFamilies(), DeepSeekFamilies(), GptOssFamilies(), Gemma3Families(), Gemma4Families(),
          Glm4Families(), GraniteFamilies(), OlmoFamilies(), SmolLm3Families()}) {
      rows.insert(rows.end(), file.begin(), file.end());
    }
    return rows;
  }();
  return table;
}

}  // namespace

const Family* FindFamily(std::string_view model_type) {
  const std::vector<Family>& table = Table();
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Family& family) { return family.model_type == model_type; });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace ft::model
