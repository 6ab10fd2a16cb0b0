// A LoRA adapter on disk, in PEFT's format (peft 0.21): adapter_config.json and adapter_model.safetensors, with one file
// of our own, finetuned.json, that tells how text becomes tokens, so that chat renders as training did.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/model/decoder/layout.h"
#include "worker/model/params/parameter_store.h"
#include "worker/model/params/peft_config.h"
#include "worker/model/weights/safetensors.h"
#include "worker/train/checkpoint/tensor_file.h"

namespace ft::checkpoint {

// How training rendered its text; chat does the same.
struct TextConfig {
  std::string template_name = "model";
  std::string tokenize = "whole";
  std::string method;     // qlora, int8_lora: the base was quantised, and is in chat.
  std::string system;     // The one system text of the data; empty when there was none or several.
  std::string eos_token;  // Ends an answer in place of the tokenizer's own; empty = that.
};

struct WrittenAdapter {
  std::string sha256;  // Digest of adapter_model.safetensors, hexadecimal.
};

struct WriteAdapterOptions {
  std::filesystem::path dir;
  params::PeftConfig config;
  TextConfig text;
  weights::SafetensorsWriter::Progress progress;  // May be empty.
  model::Layout layout = {};  // The model's; its experts' pairs are written as PEFT reads them.
  ReadValue values = {};      // Empty: the store's own.
};

// Writes the folder beside and renames it. Parameter names are PEFT's
// (base_model.model.<module>.lora_A.weight); equal weights give equal bytes.
StatusOr<WrittenAdapter> WriteAdapter(const WriteAdapterOptions& options,
                                      const params::ParameterStore& store);

// The same of tensors that are at hand already, under PEFT's names.
StatusOr<WrittenAdapter> WriteAdapterFolder(const std::filesystem::path& dir,
                                            const params::PeftConfig& config, const TextConfig& text,
                                            std::vector<NamedTensor> tensors,
                                            const weights::SafetensorsWriter::Progress& progress = {});

// The folder's adapter_config.json; errors as params::ParsePeftConfig gives them.
StatusOr<params::PeftConfig> ReadAdapterConfig(const std::filesystem::path& dir);

// An adapter as any version of PEFT left it.
struct StoredAdapter {
  params::PeftConfig config;
  std::unique_ptr<weights::TensorSource> tensors;  // Under the names that WriteAdapter gives.
  std::vector<std::string>
      modules;  // Whole names of the layers it changes, sorted: model.layers.0.mlp.up_proj.
  // In config.kind, rank_pattern and modules_to_save are whole names too: what the tensors say.
};

// From adapter_model.safetensors, or adapter_model.bin without it. Tensors' names tell what is changed,
// whatever target_modules says; an adapter's own name within them ("lora_A.default.weight") and a missing
// "base_model.model." are seen through. INVALID_ARGUMENT names a tensor that belongs to no pair of a linear
// layer, is no magnitude of one, and of no module that modules_to_save names.
StatusOr<StoredAdapter> OpenAdapter(const std::filesystem::path& dir);

// The settings that chat reads, beside an adapter or a whole model.
Status WriteTextConfig(const std::filesystem::path& dir, const TextConfig& text);

// The defaults when the folder has no finetuned.json (an adapter from elsewhere).
StatusOr<TextConfig> ReadTextConfig(const std::filesystem::path& dir);

}  // namespace ft::checkpoint
