#include "worker/rank/plan.h"

#include <torch/types.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <optional>

#include "absl/strings/str_format.h"
#include "core/base/counted.h"
#include "core/base/file.h"
#include "core/plan/card_report.h"
#include "core/plan/estimate.h"
#include "core/recipe/json.h"
#include "nlohmann/json.hpp"
#include "worker/data/prepare/prepare.h"
#include "worker/rank/device.h"
#include "worker/rank/earlier_adapter.h"
#include "worker/rank/flags.h"
#include "worker/rank/free_memory.h"
#include "worker/rank/load_model.h"
#include "worker/rank/settings.h"
#include "worker/train/trainer/resolve.h"

namespace ft::rank {
namespace {

using Json = nlohmann::ordered_json;

// The share of this machine's matrix speed that a training step reaches; attention, norms and copies take the rest.
constexpr double kStepEfficiency = 0.5;

struct Planned {
  recipe::JobSpec asked;  // As it was read, with what it leaves open.
  recipe::JobSpec spec;   // ResolveFromData.
  prepare::PreparedReport data;
  model::DecoderConfig config;
  std::string dtype;
  int64_t steps = 0;
  std::vector<plan::MemoryPart> memory;
  int64_t free_memory = 0;
  std::optional<plan::CardReport> card;  // In the place of the two before where the job is for a GPU.
  double seconds = 0;
};

// Multiplies two matrices of a block's size for a moment: the machine's speed in the job's compute type.
double FlopsPerSecond(bool bf16) {
  constexpr int64_t kRows = 512, kWidth = 1024;
  const auto type = bf16 ? torch::kBFloat16 : torch::kFloat32;
  const torch::Tensor a = torch::ones({kRows, kWidth}, type), b = torch::ones({kWidth, kWidth}, type);
  torch::matmul(a, b);
  const auto start = std::chrono::steady_clock::now();
  double flops = 0, seconds = 0;
  while (seconds < 0.2) {
    torch::matmul(a, b);
    flops += 2.0 * kRows * kWidth * kWidth;
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  return flops / seconds;
}

StatusOr<prepare::PreparedReport> PrepareData(const recipe::JobSpec& spec,
                                              const std::filesystem::path& cache_dir) {
  // The date of a job that is created now.
  return prepare::Prepare({.spec = spec,
                           .model = spec.model.source,
                           .roots = {.allowed = {"/"}},
                           .date = static_cast<int64_t>(std::time(nullptr)),
                           .cache_dir = cache_dir});
}

// The card that a plan is for: the one that --card names, or else one of which only that it is a GPU is known.
StatusOr<plan::Card> PlannedCard(const Flags& flags) {
  if (!flags.Has("card")) return plan::UnknownCard();
  return plan::CardOf(flags.Get("card"));
}

// A plan for a GPU may be made where there is none: of any that multiplies bf16.
StatusOr<std::string> PlannedDtype(const recipe::JobSpec& spec) {
  if (spec.resources.device == "gpu") return spec.model.dtype == "auto" ? "bf16" : spec.model.dtype;
  return ResolveDtype(spec.model, at::kCPU);
}

StatusOr<Planned> MakePlan(const Flags& flags) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.Get("spec"), 16 << 20));
  Planned planned;
  ASSIGN_OR_RETURN(planned.spec, recipe::FromJson(text));
  if (flags.Has("card")) planned.spec.resources.device = "gpu";
  ASSIGN_OR_RETURN(const plan::Card card, PlannedCard(flags));
  ASSIGN_OR_RETURN(planned.config, ReadModelConfig(planned.spec.model.source));
  const std::filesystem::path cache = flags.Get("cache");
  ASSIGN_OR_RETURN(planned.data, PrepareData(planned.spec, cache.empty() ? cache : cache / "data"));
  const int64_t samples = planned.data.samples - planned.data.holdout_samples;
  planned.asked = planned.spec;
  planned.spec = train::ResolveFromData(planned.spec, samples, planned.data.train_lengths);
  RETURN_IF_ERROR(TakeEarlierAdapter(planned.spec).status());
  if (!planned.spec.method.init_from.empty()) planned.asked.method = planned.spec.method;  // Nothing is open.
  const recipe::JobSpec& spec = planned.spec;
  ASSIGN_OR_RETURN(planned.dtype, PlannedDtype(spec));
  const bool bf16 = planned.dtype == "bf16";
  const data::BatchSampler order(train::SamplerConfigOf(spec, samples, planned.data.train_lengths));
  planned.steps = order.total_steps();
  const plan::ModelShape shape = ShapeOf(planned.config);
  const plan::DataSize size{planned.data.longest_sample, planned.data.tokens, planned.data.samples};
  if (spec.resources.device == "gpu") {
    planned.card = plan::ReportOf(shape, spec, bf16, size, card);
    planned.memory = planned.card->parts;
    planned.free_memory = card.usable_bytes;
  } else {
    planned.memory = plan::EstimateMemory(shape, spec, bf16, size);
    planned.free_memory = FreeMemory();
  }
  const double tokens = static_cast<double>(order.SamplesSeen(planned.steps)) *
                        static_cast<double>(planned.data.tokens) /
                        static_cast<double>(std::max<int64_t>(1, planned.data.samples));
  FixNumerics(spec.resources.threads > 0 ? spec.resources.threads
                                         : static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)));
  planned.seconds = tokens * plan::FlopsPerToken(shape, spec) / (FlopsPerSecond(bf16) * kStepEfficiency);
  return planned;
}

std::string Gibibytes(int64_t bytes) {
  return absl::StrFormat("%.2f GiB", static_cast<double>(bytes) / (1 << 30));
}

std::string Duration(double seconds) {
  if (seconds < 90) return absl::StrFormat("%.0f s", seconds);
  if (seconds < 5400) return absl::StrFormat("%.0f min", seconds / 60);
  return absl::StrFormat("%.1f h", seconds / 3600);
}

// Why a run has as many steps as it has.
std::string ReasonOfSteps(const Planned& p) {
  if (p.spec.train.max_steps > 0) return "train.max_steps";
  const std::string epochs = StrCat(Counted(p.spec.train.epochs, "epoch"), " over ",
                                    Counted(p.data.samples - p.data.holdout_samples, "sample"));
  return p.asked.train.epochs == 0 ? StrCat(epochs, ", chosen by the data's size") : epochs;
}

// What is said of a setting that the number of steps chose.
const char* ChosenBySteps(const Planned& p, bool open) {
  if (!open) return "";
  return p.steps < train::kStepsOfALongRun ? ", chosen for few steps" : ", chosen for many steps";
}

struct Setting {
  std::string key, value, reason;
};

std::vector<Setting> Settings(const Planned& p) {
  const recipe::TrainSpec& t = p.spec.train;
  std::vector<Setting> settings;
  const auto add = [&](std::string key, std::string value, std::string reason) {
    settings.push_back({std::move(key), std::move(value), std::move(reason)});
  };
  const std::string& kind = p.spec.method.kind;
  add("method", kind,
      kind == "qlora"       ? "base in 4 bits, small adapters trained: least memory"
      : kind == "int8_lora" ? "base in 8 bits, small adapters trained"
      : kind == "lora"      ? "base as it is, small adapters trained"
                            : "every weight is trained");
  if (kind != "full") {
    add("rank, alpha", absl::StrFormat("%d, %g", p.spec.method.rank, p.spec.method.alpha),
        StrCat(Counted(plan::TrainableParameters(ShapeOf(p.config), p.spec.method), "trained weight"),
               ChosenBySteps(p, p.asked.method.rank == 0 && p.asked.method.alpha == 0)));
  }
  add("compute", p.dtype,
      p.spec.model.dtype == "auto" ? "the fastest type this machine multiplies" : "as the job says");
  add("max_length", absl::StrFormat("%d", t.max_length),
      StrCat("the longest sample has ", Counted(p.data.longest_sample, "token")));
  if (t.packing)
    add("packed_length", absl::StrFormat("%d", t.packed_length),
        "tokens of a row of whole samples, which do not see each other");
  add("batch", absl::StrFormat("%d x %d", t.micro_batch, recipe::MicroBatchesPerStep(p.spec)),
      StrCat(t.packing ? "packed rows" : "samples", " at once x micro-batches a step"));
  if (recipe::MaxRanks(p.spec.parallel) > 1) {
    add("ranks", absl::StrFormat("%d of %d", p.spec.parallel.ranks, recipe::MaxRanks(p.spec.parallel)),
        "any power of two up to the second gives the same bits");
  }
  add("steps", absl::StrFormat("%d", p.steps), ReasonOfSteps(p));
  add("learning rate", absl::StrFormat("%g %s", t.optimizer.lr, t.schedule.kind),
      StrCat(absl::StrFormat("warm-up %g", t.schedule.warmup),
             ChosenBySteps(p, p.asked.train.optimizer.lr == 0)));
  add("checkpoint", StrCat("every ", Counted(t.checkpoint.every_steps, "step")),
      t.checkpoint.keep_last == 1 ? "the newest one is kept"
                                  : StrCat("the newest ", t.checkpoint.keep_last, " are kept"));
  return settings;
}

// Of this machine.
void PrintMemory(const Planned& p) {
  absl::PrintF("Memory of the rank, predicted:\n");
  for (const plan::MemoryPart& part : p.memory)
    absl::PrintF("  %10s  %s\n", Gibibytes(part.bytes), part.name);
  const int64_t total = plan::TotalBytes(p.memory);
  absl::PrintF("  %10s  in all; %s are free: %s\n", Gibibytes(total), Gibibytes(p.free_memory),
               total <= p.free_memory
                   ? "it fits"
                   : "it does not fit; lower train.max_length, train.micro_batch or method.rank");
}

void PrintText(const Planned& p) {
  for (const Setting& s : Settings(p)) absl::PrintF("  %-14s %-16s %s\n", s.key, s.value, s.reason);
  absl::PrintF("Data: %s, %s, %d %s loss; %d held out\n", Counted(p.data.samples, "sample"),
               Counted(p.data.tokens, "token"), p.data.supervised_tokens,
               p.data.supervised_tokens == 1 ? "carries" : "carry", p.data.holdout_samples);
  for (const std::string& warning : p.data.warnings) absl::PrintF("%s\n", warning);
  if (p.card.has_value()) {  // This machine's speed says nothing of a card's.
    absl::PrintF("%s", plan::ToText(*p.card));
    return;
  }
  PrintMemory(p);
  absl::PrintF("Training time, predicted: about %s\n", Duration(p.seconds));
}

void PrintJson(const Planned& p) {
  Json settings = Json::object(), memory = Json::object();
  for (const Setting& s : Settings(p)) settings[s.key] = {{"value", s.value}, {"reason", s.reason}};
  for (const plan::MemoryPart& part : p.memory) memory[part.name] = part.bytes;
  Json json = {{"settings", settings},
               {"steps", p.steps},
               {"samples", p.data.samples},
               {"tokens", p.data.tokens},
               {"supervised_tokens", p.data.supervised_tokens},
               {"holdout_samples", p.data.holdout_samples},
               {"memory_bytes", memory},
               {"memory_total_bytes", plan::TotalBytes(p.memory)},
               {"free_memory_bytes", p.free_memory},
               {"fits", p.card.has_value() ? p.card->fits() : plan::TotalBytes(p.memory) <= p.free_memory},
               {"predicted_seconds", p.card.has_value() ? Json(nullptr) : Json(p.seconds)},
               {"report", p.data.lines}};
  if (p.card.has_value()) {
    json["card"] = p.card->card.name;
    json["host_bytes"] = p.card->beside.host;
    json["disk_bytes"] = p.card->beside.disk;
    json["smallest_change"] = p.card->change;
  }
  absl::PrintF("%s\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

StatusOr<Flags> ParseFlags(const std::vector<std::string>& arguments) {
  ASSIGN_OR_RETURN(Flags flags, Flags::Parse(arguments, {"spec", "cache", "card"}, {"json"}));
  if (!flags.Has("spec") || !flags.positional().empty())
    return absl::InvalidArgumentError("expects --spec FILE [--cache DIR] [--card NAME] [--json]");
  return flags;
}

}  // namespace

int PlanVerb(const std::vector<std::string>& arguments) {
  const StatusOr<Flags> flags = ParseFlags(arguments);
  if (!flags.ok()) return Complain("plan", flags.status());
  const StatusOr<Planned> planned = MakePlan(*flags);
  if (!planned.ok()) return Complain("plan", planned.status());
  if (flags->Has("json")) {
    PrintJson(*planned);
  } else {
    PrintText(*planned);
  }
  return 0;
}

int PreviewVerb(const std::vector<std::string>& arguments) {
  const StatusOr<Flags> flags = ParseFlags(arguments);
  if (!flags.ok()) return Complain("preview", flags.status());
  const StatusOr<std::string> text = ReadFile(flags->Get("spec"), 16 << 20);
  if (!text.ok()) return Complain("preview", text.status());
  const StatusOr<recipe::JobSpec> spec = recipe::FromJson(*text);
  if (!spec.ok()) return Complain("preview", spec.status());
  const StatusOr<prepare::PreparedReport> report = PrepareData(*spec, "");
  if (!report.ok()) return Complain("preview", report.status());
  if (flags->Has("json")) {
    absl::PrintF("%s\n",
                 Json({{"report", report->lines}}).dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    for (const std::string& line : report->lines) absl::PrintF("%s\n", line);
  }
  return 0;
}

}  // namespace ft::rank
