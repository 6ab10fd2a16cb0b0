// ft-rank's verbs that write models: convert, merge, export.
#pragma once

#include <string>
#include <vector>

namespace ft::rank {

// convert SRC DST [--dtype auto|fp32|bf16|fp16]: a model (folder or .gguf) as a folder in Hugging Face layout.
int ConvertVerb(const std::vector<std::string>& arguments);

// merge --model M --adapter A --out DIR [--dtype D] [--base stored|dequantised]
int MergeVerb(const std::vector<std::string>& arguments);

// export --adapter A --out DIR [--model M --base dequantised|stored]: the adapter; with --base also DIR/base, the base
// model as the job saw it (dequantised) or as it is stored, in fp32.
int ExportVerb(const std::vector<std::string>& arguments);

}  // namespace ft::rank
