#include "worker/rank/model_verbs.h"


#include <filesystem>

#include "absl/strings/str_format.h"
#include "core/base/file.h"
#include "worker/checkpoint/adapter.h"
#include "worker/checkpoint/write_model.h"
#include "worker/prepare/model_files.h"
#include "worker/rank/flags.h"

namespace ft::rank {
namespace {

namespace fs = std::filesystem;

StatusOr<bool> WantsDequantised(const Flags& flags) {
  const std::string base = flags.Get("base", "stored");
  if (base == "stored" || base == "dequantised") return base == "dequantised";
  return absl::InvalidArgumentError(StrCat("--base '", base, "' is none of: stored, dequantised"));
}

// The model, and with it the tokenizer where that lies inside the model's file.
StatusOr<checkpoint::WrittenModel> WriteWhole(const checkpoint::WriteModelOptions& options) {
  ASSIGN_OR_RETURN(const checkpoint::WrittenModel written, checkpoint::WriteModel(options));
  if (options.model.extension() == ".gguf") RETURN_IF_ERROR(prepare::WriteTokenizerFiles(options.model, options.out));
  return written;
}

Status Convert(const Flags& flags) {
  const checkpoint::WriteModelOptions options{.model = flags.positional()[0], .out = flags.positional()[1],
                                              .dtype = flags.Get("dtype", "auto")};
  ASSIGN_OR_RETURN(const checkpoint::WrittenModel written, WriteWhole(options));
  absl::PrintF("%s: %d bytes of weights, sha256 %s\n", options.out.string(), written.bytes, written.sha256);
  return absl::OkStatus();
}

Status Merge(const Flags& flags) {
  ASSIGN_OR_RETURN(const bool dequantised, WantsDequantised(flags));
  const checkpoint::WriteModelOptions options{.model = flags.Get("model"), .adapter = flags.Get("adapter"),
                                              .out = flags.Get("out"), .dtype = flags.Get("dtype", "auto"),
                                              .dequantised = dequantised};
  ASSIGN_OR_RETURN(const checkpoint::WrittenModel written, WriteWhole(options));
  absl::PrintF("%s: the adapter changed %d weights; %d bytes, sha256 %s\n", options.out.string(), written.merged,
             written.bytes, written.sha256);
  return absl::OkStatus();
}

Status Export(const Flags& flags) {
  const fs::path adapter = flags.Get("adapter"), out = flags.Get("out");
  std::error_code error;
  if (fs::exists(out, error)) return absl::AlreadyExistsError(StrCat(out.string(), " is there already: give a new folder"));
  RETURN_IF_ERROR(checkpoint::ReadAdapterConfig(adapter).status());
  RETURN_IF_ERROR(MakeDirectories(out));
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors", "finetuned.json"}) {
    if (!fs::exists(adapter / name, error)) continue;
    fs::copy_file(adapter / name, out / name, error);
    if (error) return ErrnoStatus("copy", adapter / name, error.value());
  }
  absl::PrintF("%s: the adapter, as PEFT reads it\n", out.string());
  if (!flags.Has("base")) return absl::OkStatus();
  if (!flags.Has("model")) return absl::InvalidArgumentError("--base needs --model DIR");
  ASSIGN_OR_RETURN(const bool dequantised, WantsDequantised(flags));
  ASSIGN_OR_RETURN(const checkpoint::WrittenModel written,
                   WriteWhole({.model = flags.Get("model"), .out = out / "base", .dtype = "fp32", .dequantised = dequantised}));
  absl::PrintF("%s: the base model in fp32, sha256 %s\n", (out / "base").string(), written.sha256);
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
  return RunVerb("convert", "SRC DST [--dtype auto|fp32|bf16|fp16]", flags, flags.ok() && flags->positional().size() == 2,
                 Convert);
}

int MergeVerb(const std::vector<std::string>& arguments) {
  const StatusOr<Flags> flags = Flags::Parse(arguments, {"model", "adapter", "attempt", "out", "dtype", "base"}, {"help"});
  const bool complete = flags.ok() && flags->Has("model") && flags->Has("adapter") && flags->Has("out") && flags->positional().empty();
  return RunVerb("merge", "--model M --adapter A --out DIR [--dtype D] [--base stored|dequantised]", flags, complete, Merge);
}

int ExportVerb(const std::vector<std::string>& arguments) {
  const StatusOr<Flags> flags = Flags::Parse(arguments, {"model", "adapter", "attempt", "out", "base"}, {"help"});
  const bool complete = flags.ok() && flags->Has("adapter") && flags->Has("out") && flags->positional().empty();
  return RunVerb("export", "--adapter A --out DIR [--model M --base stored|dequantised]", flags, complete, Export);
}

}  // namespace ft::rank
