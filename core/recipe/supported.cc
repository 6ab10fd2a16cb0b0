#include "core/recipe/supported.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "core/recipe/hub_source.h"
#include "core/recipe/parse.h"

namespace ft::recipe {
namespace {

// The files of worker/model/decoder that build them have the same names: a check compares the two.
constexpr std::string_view kFamilies[] = {"llama",    "mistral",   "qwen",     "qwen2",   "qwen3",
                                          "internlm", "internlm2", "baichuan", "chatglm", "gpt_bigcode",
                                          "gemma",    "gemma2",    "phi3"};

constexpr size_t kLongestName = 64;  // Of a family whose nearest is looked for.

// Collects one line for each thing that is refused.
class Refusals {
 public:
  void operator()(bool unsupported, std::string_view what, std::string_view instead) {
    if (unsupported) Add(StrCat(what, " is not supported yet: ", instead));
  }
  void Source(std::string_view key, const std::string& source, RepositoryKind kind) {
    const Status remote = CheckRemoteSource(source, kind);
    if (!remote.ok()) Add(StrCat(key, ": ", Message(remote)));
  }
  const std::string& text() const { return text_; }

 private:
  void Add(std::string_view line) { StrAppend(&text_, text_.empty() ? "" : "\n", line); }
  std::string text_;
};

void RefuseModel(const ModelSpec& model, Refusals& refuse) {
  refuse.Source("model.source", model.source, RepositoryKind::kModel);
  refuse(!model.eos_token.empty(), "model.eos_token", "leave it out, the tokenizer's own is used");
  refuse(model.encode_special_tokens, "model.encode_special_tokens", "use false");
}

void RefuseData(const std::string& key, const DataSource& source, Refusals& refuse) {
  refuse.Source(key + ".source", source.source, RepositoryKind::kDataset);
  refuse(source.map && source.map->kind != "columns",
         StrCat(key, ".map.kind: ", source.map ? source.map->kind : ""),
         "name the columns, for example map: {input: QUESTION, output: ANSWER}");
  refuse(source.choose != "first", key + ".choose: random", "use first");
  refuse(!IsHubSource(source.source) &&
             (!source.subset.empty() || !source.folder.empty() || !source.split.empty()),
         key + ".subset, folder and split", "leave them out, they choose a part of a data set on a hub");
}

void RefuseEvaluation(const EvaluateSpec& evaluate, Refusals& refuse) {
  refuse(!evaluate.sets.empty(), "train.evaluate.sets", "use holdout and train.evaluate.prompts");
  refuse(evaluate.every_micro_batches > 0, "train.evaluate.every_micro_batches", "use 0 and every_steps");
  refuse(!evaluate.system.empty(), "train.evaluate.system", "leave it out");
  refuse(!evaluate.template_name.empty(), "train.evaluate.template",
         "leave it out, the first source's is used");
  refuse(!evaluate.stop_words.empty(), "train.evaluate.stop_words", "leave them out");
}

}  // namespace

std::span<const std::string_view> Families() { return kFamilies; }

Status CheckFamily(std::string_view model_type) {
  const std::set<std::string> known(std::begin(kFamilies), std::end(kFamilies));
  if (known.contains(std::string(model_type))) return absl::OkStatus();
  const std::string nearest = Nearest(model_type.substr(0, kLongestName), known);
  std::string all;
  for (const std::string_view family : kFamilies) StrAppend(&all, all.empty() ? "" : ", ", family);
  return absl::UnimplementedError(StrCat("model family \"", model_type, "\" is not supported by this version",
                                         nearest.empty() ? "" : StrCat(", the nearest that is: ", nearest),
                                         " (supported: ", all, ")"));
}

std::vector<std::string> TakeSubstitutes(nlohmann::ordered_json& job) {
  const nlohmann::ordered_json::json_pointer kKind("/train/optimizer/kind");
  if (!job.contains(kKind) || job[kKind] != "paged_adamw") return {};
  job[kKind] = "adamw";
  return {
      "train.optimizer.kind: adamw takes the place of paged_adamw, which is not built yet: the same numbers, "
      "all in memory"};
}

Status CheckSupported(const JobSpec& spec) {
  Refusals refuse;
  refuse(!spec.recipe.empty(), "recipe", "write the settings into the job file");
  refuse(spec.compat != "none", StrCat("compat: ", spec.compat),
         "use none, and training has this program's habits");
  RefuseModel(spec.model, refuse);
  for (size_t i = 0; i < spec.data.size(); ++i) RefuseData(StrCat("data[", i, "]"), spec.data[i], refuse);
  refuse(spec.train.optimizer.kind == "paged_adamw", "train.optimizer.kind: paged_adamw", "use adamw");
  refuse(spec.method.kind == "int8_lora", "method.kind: int8_lora", "use qlora, lora or full");
  refuse(spec.parallel.zero > 0, "parallel.zero above 0", "use zero: 0");
  refuse(spec.parallel.offload.optimizer != "none" || spec.parallel.offload.parameters != "none",
         "parallel.offload", "use none");
  refuse(spec.train.checkpoint.every_epochs > 0, "train.checkpoint.every_epochs", "use 0 and every_steps");
  RefuseEvaluation(spec.train.evaluate, refuse);
  // These two are XTuner's habits where compat names it, and go with it.
  if (spec.compat == "none") {
    refuse(spec.train.loss != "token_mean", "train.loss: microbatch_mean", "use token_mean");
    refuse(spec.train.schedule.by != "step", "train.schedule.by: micro_batch", "use step");
  }
  return refuse.text().empty() ? absl::OkStatus() : absl::UnimplementedError(refuse.text());
}

}  // namespace ft::recipe
