// A model folder in Hugging Face layout from a model, and an adapter merged into it if there is one. Tensor by tensor, so
// that it takes the memory of the largest tensor, not of the model.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/optim/adamw.h"

namespace ft::checkpoint {

struct WriteModelOptions {
  std::filesystem::path model;     // Folder in Hugging Face layout, or a .gguf file.
  std::filesystem::path adapter;   // PEFT folder; empty = none.
  std::filesystem::path out;       // Must not exist.
  std::string dtype = "auto";      // auto = as stored (block formats: fp32) | fp32 | bf16 | fp16
  bool dequantised = false;        // The base goes through NF4 with double quantisation first, as a qlora job sees it.
};

struct WrittenModel {
  std::string sha256;              // Of model.safetensors, hexadecimal.
  int64_t bytes = 0;
  int merged = 0;                  // Projections that the adapter changed.
};

// W + (alpha / rank) B A in fp32, rounded once. Config and tokenizer files are copied beside. Written beside `out` and
// renamed. INVALID_ARGUMENT names an adapter tensor that fits no weight of the model.
StatusOr<WrittenModel> WriteModel(const WriteModelOptions& options);

// The model folder that a full fine-tuning leaves: the trained weights (canonical names) in fp32, with config and
// tokenizer files of the model it started from. Replaces `out`.
StatusOr<WrittenModel> WriteTrainedModel(const std::filesystem::path& model, const std::filesystem::path& out,
                                         const std::vector<optim::ParamRef>& parameters);

}  // namespace ft::checkpoint
