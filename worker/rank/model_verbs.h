// ft-rank's verbs that write models: convert, merge, export.
#pragma once

#include <string>
#include <vector>

namespace ft::rank {

// convert SRC DST [--dtype auto|fp32|bf16|fp16]: a model (folder or .gguf) as a folder in Hugging Face layout.
int ConvertVerb(const std::vector<std::string>& arguments);

// merge [--model M] --adapter A --out DIR [--dtype D] [--base auto|stored|dequantised] [--experts split|fused]: the base with the
// adapter in it, by default over the base that the adapter was trained over, as chat. The result of a full
// fine-tuning as it is.
int MergeVerb(const std::vector<std::string>& arguments);

// export --adapter A --out DIR [--model M] [--base auto|stored|dequantised] [--experts split|fused]: the adapter, as it is or
// with its experts one by one or in one tensor; with --base also
// DIR/base, the base model as the job saw it (dequantised) or as it is stored, in fp32, which
// DIR/adapter_config.json then names. The result of a full fine-tuning whole.
int ExportVerb(const std::vector<std::string>& arguments);

}  // namespace ft::rank
