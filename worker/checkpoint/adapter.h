// A LoRA adapter on disk, in PEFT's format (peft 0.21): adapter_config.json and adapter_model.safetensors, with one file
// of our own, finetuned.json, that tells how text becomes tokens, so that chat renders as training did.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/adapt/peft_config.h"
#include "worker/optim/adamw.h"

namespace ft::checkpoint {

// How training rendered its text; chat does the same.
struct TextConfig {
  std::string template_name = "model";
  std::string tokenize = "whole";
  std::string method;                   // qlora: the base went through NF4, and does in chat.
  std::string system;                   // The one system text of the data; empty when there was none or several.
};

struct WrittenAdapter {
  std::string sha256;                   // Of adapter_model.safetensors, hexadecimal.
};

// Writes the folder beside and renames it. Parameter names are PEFT's
// (base_model.model.<module>.lora_A.weight); equal weights give equal bytes.
StatusOr<WrittenAdapter> WriteAdapter(const std::filesystem::path& dir, const adapt::PeftConfig& config,
                                      const TextConfig& text, const std::vector<optim::ParamRef>& parameters);

// The folder's adapter_config.json; errors as adapt::ParsePeftConfig gives them.
StatusOr<adapt::PeftConfig> ReadAdapterConfig(const std::filesystem::path& dir);

// The defaults when the folder has no finetuned.json (an adapter from elsewhere).
StatusOr<TextConfig> ReadTextConfig(const std::filesystem::path& dir);

}  // namespace ft::checkpoint
