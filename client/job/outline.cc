#include "client/job/outline.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/base/counted.h"
#include "core/recipe/sharding.h"
#include "core/recipe/supported.h"

namespace ft::client {
namespace {

using Json = nlohmann::ordered_json;

// What the data chooses for a run of many steps (docs/job-file.md).
constexpr int kLongRank = 64;
constexpr double kLongAlpha = 16;
constexpr double kLongRate = 2e-4, kLongRateOfFull = 2e-5;
constexpr int64_t kMostAccumulation = 16;
constexpr int64_t kFewestEpochs = 3;

recipe::JobSpec AsForALongRun(recipe::JobSpec spec) {
  const auto choose = [](auto& value, auto chosen) {
    if (value == 0) value = chosen;
  };
  choose(spec.method.rank, kLongRank);
  choose(spec.method.alpha, kLongAlpha);
  choose(spec.train.optimizer.lr, spec.method.kind == "full" ? kLongRateOfFull : kLongRate);
  choose(spec.train.accumulation, kMostAccumulation);
  choose(spec.train.epochs, kFewestEpochs);
  return spec;
}

std::string MethodReason(const std::string& kind) {
  if (kind == "qlora") return "base in 4 bits, small adapters trained: least memory";
  if (kind == "int8_lora") return "base in 8 bits, small adapters trained";
  if (kind == "lora") return "base as it is, small adapters trained";
  return "every weight is trained";
}

std::string OffloadText(const recipe::OffloadSpec& offload) {
  if (offload.optimizer == "none" && offload.parameters == "none") return "nothing is moved off the device";
  return StrCat("optimizer on ", offload.optimizer, ", parameters on ", offload.parameters);
}

int64_t Ceil(int64_t a, int64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

// Steps of all epochs; micro-batches of a step go on over an epoch's end.
int64_t StepsOf(const recipe::JobSpec& spec, int64_t records) {
  if (spec.train.max_steps > 0) return spec.train.max_steps;
  if (records == 0) return 0;
  const int64_t batches = Ceil(Ceil(records, spec.parallel.ranks), spec.train.micro_batch);
  return Ceil(batches * spec.train.epochs, spec.train.accumulation);
}

OutlineSetting StepsSetting(const recipe::JobSpec& spec, int64_t records, int64_t steps) {
  if (spec.train.max_steps > 0) return {"steps", StrCat(steps), "train.max_steps"};
  const std::string epochs = Counted(spec.train.epochs, "epoch");
  if (records == 0) return {"steps", "unknown", StrCat(epochs, "; --records N says of how many")};
  const std::string over = StrCat(epochs, " over ", Counted(records, "record"));
  if (!spec.train.packing) return {"steps", StrCat(steps), over};
  return {"steps", StrCat("at most ", steps), StrCat(over, ", fewer where several share a packed row")};
}

std::string ScheduleReason(const recipe::ScheduleSpec& schedule) {
  return StrCat(absl::StrFormat("warm-up %g", schedule.warmup),
                schedule.by == "micro_batch" ? ", goes down with each micro-batch" : "");
}

std::vector<OutlineSetting> SettingsOf(const recipe::JobSpec& spec, const Outline& outline, int64_t records) {
  const recipe::TrainSpec& t = spec.train;
  const recipe::MethodSpec& m = spec.method;
  std::vector<OutlineSetting> all;
  const auto add = [&all](std::string key, std::string value, std::string reason) {
    all.push_back({std::move(key), std::move(value), std::move(reason)});
  };
  const auto millions = [](int64_t count) {
    return absl::StrFormat("%.1f M", static_cast<double>(count) / 1e6);
  };
  add("base model", outline.model.model_type,
      StrCat(millions(outline.parameters), " weights by its config.json"));
  if (spec.compat != "none") add("compat", spec.compat, "training has XTuner's habits");
  add("method", m.kind, MethodReason(m.kind));
  if (m.kind != "full") {
    add("rank, alpha", absl::StrFormat("%d, %g", m.rank, m.alpha),
        Counted(plan::TrainableParameters(outline.model.shape, m), "trained weight"));
  }
  add("compute", spec.model.dtype,
      spec.model.dtype == "auto" ? "the fastest type this machine multiplies" : "as the job says");
  add("max_length", StrCat(t.max_length), "tokens of a sample; longer ones are cut");
  if (t.packing)
    add("packing", "true",
        spec.compat == "none" ? "rows of whole samples, which do not see each other"
                              : "rows cut anywhere, whose samples see each other");
  add("batch", absl::StrFormat("%d x %d", t.micro_batch, recipe::MicroBatchesPerStep(spec)),
      StrCat(t.packing ? "packed rows" : "samples", " at once x micro-batches a step"));
  if (spec.parallel.ranks > 1) add("ranks", StrCat(spec.parallel.ranks), "each takes its share of a step");
  if (spec.parallel.zero > 0)
    add("zero", StrCat("stage ", spec.parallel.zero), OffloadText(spec.parallel.offload));
  all.push_back(StepsSetting(spec, records, outline.steps));
  add("learning rate", absl::StrFormat("%g %s", t.optimizer.lr, t.schedule.kind), ScheduleReason(t.schedule));
  const bool by_epochs = t.checkpoint.every_epochs > 0;
  add("checkpoint",
      StrCat("every ", by_epochs ? Counted(t.checkpoint.every_epochs, "epoch")
                                 : Counted(t.checkpoint.every_steps, "step")),
      t.checkpoint.keep_last == 1 ? "the newest one is kept"
                                  : StrCat("the newest ", t.checkpoint.keep_last, " are kept"));
  return all;
}

std::vector<std::string> RefusedOf(const recipe::JobSpec& spec, const std::string& family) {
  std::vector<std::string> lines;
  for (const Status& status : {recipe::CheckSupported(spec), recipe::CheckFamily(family)}) {
    if (status.ok()) continue;
    for (const absl::string_view line : absl::StrSplit(status.message(), '\n')) lines.emplace_back(line);
  }
  return lines;
}

// Of a rank on a CPU.
std::string PartsText(const std::vector<plan::MemoryPart>& parts) {
  const auto gibibytes = [](int64_t bytes) {
    return absl::StrFormat("%.2f GiB", static_cast<double>(bytes) / (1 << 30));
  };
  std::string text = "Memory of the rank, predicted:\n";
  for (const plan::MemoryPart& part : parts)
    absl::StrAppendFormat(&text, "  %10s  %s\n", gibibytes(part.bytes), part.name);
  absl::StrAppendFormat(&text, "  %10s  in all\n", gibibytes(plan::TotalBytes(parts)));
  return text;
}

}  // namespace

StatusOr<Outline> OutlineOf(const recipe::JobSpec& asked, std::string_view config, std::string_view file,
                            int64_t records, const plan::Card& card) {
  Outline outline;
  const recipe::JobSpec spec = AsForALongRun(asked);
  ASSIGN_OR_RETURN(outline.model, plan::ShapeOfConfig(config, file));
  outline.parameters = plan::ParameterCount(outline.model.shape);
  outline.steps = StepsOf(spec, records);
  outline.settings = SettingsOf(spec, outline, records);
  const plan::ModelShape& shape = outline.model.shape;
  const bool on_card = spec.resources.device == "gpu";
  const bool bf16 = spec.model.dtype == "bf16" || (on_card && spec.model.dtype == "auto");
  if (on_card) outline.card = plan::ReportOf(shape, spec, bf16, {}, card);
  outline.memory = on_card ? outline.card->parts : plan::EstimateMemory(shape, spec, bf16, {});
  outline.refused = RefusedOf(asked, outline.model.model_type);
  const StatusOr<recipe::Sharding> sharding = recipe::Sharding::Of(spec);
  if (sharding.ok()) {
    outline.remarks.insert(outline.remarks.end(), sharding->remarks.begin(), sharding->remarks.end());
  } else {
    outline.remarks.push_back("the memory above is that of stage 0, with nothing divided or moved");
  }
  return outline;
}

std::string MemoryText(const Outline& outline) {
  return outline.card.has_value() ? plan::ToText(*outline.card) : PartsText(outline.memory);
}

std::string ToText(const Outline& outline) {
  std::string text;
  for (const OutlineSetting& s : outline.settings)
    absl::StrAppendFormat(&text, "  %-14s %-16s %s\n", s.key, s.value, s.reason);
  StrAppend(&text, MemoryText(outline));
  for (const std::string& remark : outline.remarks) StrAppend(&text, "Note: ", remark, "\n");
  if (outline.refused.empty()) return text;
  text += "What submit refuses until it is built or changed:\n";
  for (const std::string& line : outline.refused) StrAppend(&text, "  ", line, "\n");
  return text;
}

Json ToTree(const Outline& outline) {
  Json settings = Json::object(), memory = Json::object();
  for (const OutlineSetting& s : outline.settings)
    settings[s.key] = {{"value", s.value}, {"reason", s.reason}};
  for (const plan::MemoryPart& part : outline.memory) memory[part.name] = part.bytes;
  Json tree = {{"settings", settings},
               {"parameters", outline.parameters},
               {"steps", outline.steps == 0 ? Json(nullptr) : Json(outline.steps)},
               {"memory_bytes", memory},
               {"memory_total_bytes", plan::TotalBytes(outline.memory)},
               {"remarks", outline.remarks},
               {"refused", outline.refused}};
  if (outline.card.has_value()) {
    tree["card"] = outline.card->card.name;
    tree["usable_bytes"] = outline.card->card.usable_bytes;
    tree["host_bytes"] = outline.card->beside.host;
    tree["disk_bytes"] = outline.card->beside.disk;
    tree["fits"] = outline.card->fits();
    tree["smallest_change"] = outline.card->change;
  }
  return tree;
}

}  // namespace ft::client
