#include "core/recipe/supported.h"

namespace ft::recipe {

Status CheckSupported(const JobSpec& spec) {
  std::string text;
  const auto refuse = [&](bool unsupported, std::string_view what, std::string_view instead) {
    if (unsupported) StrAppend(&text, text.empty() ? "" : "\n", what, " is not supported yet: ", instead);
  };
  refuse(!spec.recipe.empty(), "recipe", "write the settings into the job file");
  refuse(spec.train.optimizer.kind == "paged_adamw", "train.optimizer.kind: paged_adamw", "use adamw");
  refuse(spec.method.kind == "int8_lora", "method.kind: int8_lora", "use qlora, lora or full");
  refuse(spec.parallel.zero > 0, "parallel.zero above 0", "use zero: 0");
  refuse(spec.parallel.offload.optimizer != "none" || spec.parallel.offload.parameters != "none",
         "parallel.offload", "use none");
  refuse(spec.resources.device == "gpu", "resources.device: gpu", "use cpu or auto");
  refuse(!spec.train.evaluate.sets.empty(), "train.evaluate.sets", "use holdout and train.evaluate.prompts");
  refuse(spec.train.loss != "token_mean", "train.loss: microbatch_mean", "use token_mean");
  return text.empty() ? absl::OkStatus() : absl::UnimplementedError(text);
}

}  // namespace ft::recipe
