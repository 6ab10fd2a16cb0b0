// adapter_config.json as PEFT reads and writes it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "worker/model/params/adapter_kind.h"

namespace ft::params {

struct PeftConfig {
  int rank = 8;
  double alpha = 8;  // lora_alpha.
  double dropout = 0;
  AdapterKind kind;  // How outputs are scaled, among other things.
  // As the file has them: last parts of module names or whole ones, or one entry that is "all-linear" or a
  // regular expression. For people: what an adapter changes is told by its tensors' names.
  std::vector<std::string> targets;
  std::vector<std::string> target_parameters;  // Of experts in one tensor; their names' ends.
  std::string base_model;                      // Where the base was loaded from; for people.
};

// `file` is named in errors. INVALID_ARGUMENT for what is malformed, UNIMPLEMENTED with the option's name for
// what would change the result and is not built: trained biases and tokens, adapters of single tensors. What only chooses
// layers (exclude_modules, layers_to_transform) is no more than the tensors say.
StatusOr<PeftConfig> ParsePeftConfig(std::string_view json_text, std::string_view file);

// The file's text. Targets are sorted, so equal adapters give equal bytes.
std::string PeftConfigJson(const PeftConfig& config);

}  // namespace ft::params
