#include "worker/rank/model_verbs.h"

#include <filesystem>

#include "absl/strings/str_format.h"
#include "core/base/file.h"
#include "nlohmann/json.hpp"
#include "worker/data/prepare/model_files.h"
#include "worker/model/decoder/family.h"
#include "worker/rank/agreement.h"
#include "worker/rank/base.h"
#include "worker/rank/flags.h"
#include "worker/rank/load_model.h"
#include "worker/train/checkpoint/adapter.h"
#include "worker/train/checkpoint/write_model.h"

namespace ft::rank {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 1 << 20;

// The model, and with it the tokenizer where that lies inside the model's file.
StatusOr<checkpoint::WrittenModel> WriteWhole(const char* verb,
                                              const checkpoint::WriteModelOptions& options) {
  ASSIGN_OR_RETURN(checkpoint::WrittenModel written, checkpoint::WriteModel(options));
  if (options.model.extension() == ".gguf")
    RETURN_IF_ERROR(prepare::WriteTokenizerFiles(options.model, options.out));
  TellRemarks(verb, written.remarks);
  return written;
}

// --experts.
StatusOr<checkpoint::ExpertForm> FormOf(const Flags& flags) {
  const std::string form = flags.Get("experts");
  if (!flags.Has("experts")) return checkpoint::ExpertForm::kAsStored;
  if (form == "split") return checkpoint::ExpertForm::kSplit;
  if (form == "fused") return checkpoint::ExpertForm::kFused;
  return absl::InvalidArgumentError(StrCat("--experts '", form, "' is none of: split, fused"));
}

Status Convert(const Flags& flags) {
  const checkpoint::WriteModelOptions options{
      .model = flags.positional()[0], .out = flags.positional()[1], .dtype = flags.Get("dtype", "auto")};
  ASSIGN_OR_RETURN(const checkpoint::WrittenModel written, WriteWhole("convert", options));
  absl::PrintF("%s: %d bytes of weights in %s, sha256 %s\n", options.out.string(), written.bytes,
               written.dtype, written.sha256);
  return absl::OkStatus();
}

// A full fine-tuning has changed the weights themselves: there is nothing to put together.
Status RefuseBaseOfWhole(const Flags& flags, const Trained& trained) {
  if (!flags.Has("base")) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat("--base has no meaning for ", trained.model.string(),
                                           ": a full fine-tuning leaves a whole model, which needs no base"));
}

// So that chat renders a merged model's text as training did.
Status KeepText(const Trained& trained, const fs::path& out) {
  return trained.text.method.empty() ? absl::OkStatus() : checkpoint::WriteTextConfig(out, trained.text);
}

// The merged model is what training left, or it is not kept.
Status CheckMerged(const Trained& trained, params::BaseKind base, const fs::path& out,
                   const checkpoint::WrittenModel& written) {
  ASSIGN_OR_RETURN(const std::optional<Agreement> agreement, CompareMerged(trained, base, out, written));
  if (!agreement.has_value()) {
    absl::PrintF("its logits were not compared with those of base and adapter: there is not memory enough\n");
    return absl::OkStatus();
  }
  const std::string figures = absl::StrFormat(
      "%.1e of the largest over %d prompts%s (at most %g)", agreement->difference, kAgreementPrompts,
      agreement->of_middle_row ? ", in the row in the middle" : "", agreement->limit);
  if (agreement->within()) {
    absl::PrintF("its logits differ from those of base and adapter by %s\n", figures);
    return absl::OkStatus();
  }
  std::error_code ignored;
  fs::remove_all(out, ignored);
  return absl::DataLossError(StrCat("the merged model's logits differ from those of base and adapter by ",
                                    figures, ": it is not kept; take --dtype fp32"));
}

Status Merge(const Flags& flags) {
  ASSIGN_OR_RETURN(const Trained trained, ResolveTrained(flags.Get("model"), flags.Get("adapter")));
  if (trained.whole()) RETURN_IF_ERROR(RefuseBaseOfWhole(flags, trained));
  ASSIGN_OR_RETURN(const params::BaseKind base, BaseOf(flags, trained));
  ASSIGN_OR_RETURN(const checkpoint::ExpertForm experts, FormOf(flags));
  const checkpoint::WriteModelOptions options{.model = trained.model,
                                              .adapter = trained.adapter,
                                              .out = flags.Get("out"),
                                              .dtype = flags.Get("dtype", "auto"),
                                              .base = base,
                                              .experts = experts};
  ASSIGN_OR_RETURN(const checkpoint::WrittenModel written, WriteWhole("merge", options));
  RETURN_IF_ERROR(KeepText(trained, options.out));
  if (trained.whole()) {
    absl::PrintF("%s: the model of a full fine-tuning as it is; %d bytes in %s, sha256 %s\n",
                 options.out.string(), written.bytes, written.dtype, written.sha256);
    return absl::OkStatus();
  }
  absl::PrintF("%s: the adapter changed %d weights; %d bytes in %s, sha256 %s\n%s\n", options.out.string(),
               written.merged, written.bytes, written.dtype, written.sha256, BaseSentence(base, trained));
  RETURN_IF_ERROR(CheckMerged(trained, base, options.out, written));
  if (written.dtype != "float32") {
    absl::PrintF("the sums are rounded to %s: --dtype fp32 keeps every bit\n", written.dtype);
  }
  return absl::OkStatus();
}

Status CopyFiles(const fs::path& from, const fs::path& to, const std::vector<std::string>& names) {
  std::error_code error;
  for (const std::string& name : names) {
    if (!fs::exists(from / name, error)) continue;
    fs::copy_file(from / name, to / name, error);
    if (error) return ErrnoStatus("copy", from / name, error.value());
  }
  return absl::OkStatus();
}

Status TellWhole(const fs::path& out) {
  absl::PrintF("%s: the whole model, as a full fine-tuning leaves it; transformers reads it\n", out.string());
  return absl::OkStatus();
}

// All files of the folder that a full fine-tuning left.
Status ExportWhole(const Trained& trained, const fs::path& out, checkpoint::ExpertForm experts) {
  if (experts != checkpoint::ExpertForm::kAsStored) {
    RETURN_IF_ERROR(WriteWhole("export", {.model = trained.model, .out = out, .experts = experts}).status());
    RETURN_IF_ERROR(CopyFiles(trained.model, out, {"finetuned.json"}));
    return TellWhole(out);
  }
  RETURN_IF_ERROR(MakeDirectories(out));
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(trained.model, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_regular_file(ignored)) names.push_back(entry->path().filename().string());
  }
  if (error) return ErrnoStatus("list", trained.model, error.value());
  RETURN_IF_ERROR(CopyFiles(trained.model, out, names));
  return TellWhole(out);
}

// AutoPeftModel loads the base by what adapter_config.json names: the base that is written beside, by its
// whole path.
Status NameBase(const fs::path& adapter_dir, const fs::path& base) {
  const fs::path path = adapter_dir / "adapter_config.json";
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  nlohmann::ordered_json config = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return absl::InvalidArgumentError(StrCat(path.string(), " is not a JSON object"));
  config["base_model_name_or_path"] = fs::absolute(base).lexically_normal().string();
  return WriteFileDurably(
      path, config.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

// What AutoPeftModel will make of the base that the adapter names.
void TellBase(const Trained& trained) {
  const std::string base = trained.model.string();
  if (base.empty()) return;
  if (trained.model.extension() == ".gguf") {
    absl::PrintF(
        "its base %s is a GGUF file, which PEFT does not read: --base auto writes a base that it loads, or "
        "give it the "
        "folder that `ftctl convert %s DIR` makes\n",
        base, base);
  } else if (trained.text.method == "qlora" || trained.text.method == "int8_lora") {
    absl::PrintF(
        "trained over %s in %s: PEFT loads it as stored, and answers may differ; --base auto "
        "writes the base "
        "of the training beside the adapter\n",
        base, trained.text.method == "qlora" ? "4 bits (NF4)" : "8 bits (by rows)");
  } else {
    absl::PrintF("%s\n", BaseSentence(params::BaseKind::kStored, trained));
  }
}

// The base beside an exported adapter, which then names it.
Status ExportBase(params::BaseKind base, const Trained& trained, const fs::path& out,
                  checkpoint::ExpertForm experts) {
  ASSIGN_OR_RETURN(
      const checkpoint::WrittenModel written,
      WriteWhole(
          "export",
          {.model = trained.model, .out = out / "base", .dtype = "fp32", .base = base, .experts = experts}));
  RETURN_IF_ERROR(NameBase(out, out / "base"));
  absl::PrintF("%s: the base model in fp32, sha256 %s\n%s\n", (out / "base").string(), written.sha256,
               BaseSentence(base, trained));
  return absl::OkStatus();
}

// The adapter's files as they are, or anew with its experts in the form that was asked for.
Status WriteOutAdapter(const Trained& trained, const fs::path& out, checkpoint::ExpertForm experts) {
  if (experts == checkpoint::ExpertForm::kAsStored) {
    RETURN_IF_ERROR(MakeDirectories(out));
    return CopyFiles(
        trained.adapter, out,
        {"adapter_config.json", "adapter_model.safetensors", "adapter_model.bin", "finetuned.json"});
  }
  ASSIGN_OR_RETURN(const model::DecoderConfig config, ReadModelConfig(trained.model));
  return checkpoint::ExportAdapter({.adapter = trained.adapter, .out = out, .form = experts},
                                   model::LayoutOf(config))
      .status();
}

Status Export(const Flags& flags) {
  const fs::path adapter = flags.Get("adapter"), out = flags.Get("out");
  ASSIGN_OR_RETURN(const checkpoint::ExpertForm experts, FormOf(flags));
  std::error_code error;
  if (fs::exists(out, error))
    return absl::AlreadyExistsError(StrCat(out.string(), " is there already: give a new folder"));
  if (!fs::exists(adapter / "adapter_config.json", error) && fs::exists(adapter / "config.json", error)) {
    const Trained whole{.model = adapter};
    RETURN_IF_ERROR(RefuseBaseOfWhole(flags, whole));
    return ExportWhole(whole, out, experts);
  }
  ASSIGN_OR_RETURN(const params::PeftConfig config, checkpoint::ReadAdapterConfig(adapter));
  Trained trained{.model = config.base_model, .adapter = adapter};
  ASSIGN_OR_RETURN(trained.text, checkpoint::ReadTextConfig(adapter));
  if (flags.Has("base") || experts != checkpoint::ExpertForm::kAsStored) {
    ASSIGN_OR_RETURN(trained, ResolveTrained(flags.Get("model"), flags.Get("adapter")));
  }
  ASSIGN_OR_RETURN(const params::BaseKind base, BaseOf(flags, trained));
  RETURN_IF_ERROR(WriteOutAdapter(trained, out, experts));
  absl::PrintF("%s: the adapter, as PEFT reads it\n", out.string());
  if (flags.Has("base")) return ExportBase(base, trained, out, experts);
  TellBase(trained);
  return absl::OkStatus();
}

using Work = Status (*)(const Flags&);

int RunVerb(const char* verb, const char* usage, const StatusOr<Flags>& flags, bool complete, Work work) {
  if (!flags.ok()) return Complain(verb, flags.status());
  if (flags->Has("help")) {
    absl::PrintF("usage: ft-rank %s %s\n", verb, usage);
    return 0;
  }
  if (!complete) return Complain(verb, absl::InvalidArgumentError(StrCat("expects ", usage)));
  const Status status = work(*flags);
  return status.ok() ? 0 : Complain(verb, status);
}

}  // namespace

int ConvertVerb(const std::vector<std::string>& arguments) {
  const StatusOr<Flags> flags = Flags::Parse(arguments, {"dtype"}, {"help"});
  return RunVerb("convert", "SRC DST [--dtype auto|fp32|bf16|fp16]", flags,
                 flags.ok() && flags->positional().size() == 2, Convert);
}

int MergeVerb(const std::vector<std::string>& arguments) {
  const StatusOr<Flags> flags =
      Flags::Parse(arguments, {"model", "adapter", "attempt", "out", "dtype", "base", "experts"}, {"help"});
  const bool complete =
      flags.ok() && flags->Has("adapter") && flags->Has("out") && flags->positional().empty();
  return RunVerb("merge",
                 "[--model M] --adapter A --out DIR [--dtype D] [--base auto|stored|dequantised] [--experts "
                 "split|fused]",
                 flags, complete, Merge);
}

int ExportVerb(const std::vector<std::string>& arguments) {
  const StatusOr<Flags> flags =
      Flags::Parse(arguments, {"model", "adapter", "attempt", "out", "base", "experts"}, {"help"});
  const bool complete =
      flags.ok() && flags->Has("adapter") && flags->Has("out") && flags->positional().empty();
  return RunVerb("export",
                 "--adapter A --out DIR [--model M] [--base auto|stored|dequantised] [--experts split|fused]",
                 flags, complete, Export);
}

}  // namespace ft::rank
