// A model folder in Hugging Face layout from a model, and an adapter merged into it if there is one. Tensor by tensor, so
// that it takes the memory of the largest tensor, not of the model.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/model/decoder/config.h"
#include "worker/model/params/read_slot.h"
#include "worker/model/weights/safetensors.h"
#include "worker/train/checkpoint/adapter.h"
#include "worker/train/checkpoint/export_adapter.h"
#include "worker/train/checkpoint/tensor_file.h"

namespace ft::checkpoint {

struct WriteModelOptions {
  std::filesystem::path model;    // Folder in Hugging Face layout, or a .gguf file.
  std::filesystem::path adapter;  // PEFT folder; empty = none.
  std::filesystem::path out;      // Must not exist.
  std::string dtype = "auto";     // auto = as stored (packed formats: fp32) | fp32 | bf16 | fp16
  // What the projections go through first, as a qlora or an int8_lora job sees them.
  params::BaseKind base = params::BaseKind::kStored;
  ExpertForm experts = ExpertForm::kAsStored;
  uint64_t shard_bytes =
      5'000'000'000;  // Weights of one file; a model with more goes into several, with an index.
};

struct WrittenModel {
  std::string
      sha256;  // Digest of model.safetensors, hexadecimal; of several shards, that of their digests' lines.
  int64_t bytes = 0;
  int merged = 0;                    // Projections that the adapter changed.
  std::string dtype;                 // As config.json says it: that of the widest weight.
  std::vector<std::string> remarks;  // What was unusual or is not in the result: a sentence each, for people.
};

// What the adapter makes of each weight (deltas.h) in fp32, rounded once. Every tensor of the model is written: bitsandbytes' 4-bit
// weights as what they stand for, what is no weight (buffers) as it lies there; left out are only rotary
// tables, which follow from the configuration, and a remark says so. config.json says what is stored;
// vocabularies, templates and the family's own code are copied beside, and never run. Written beside `out` and renamed. INVALID_ARGUMENT names an adapter
// tensor that fits no weight of the model, or a form of experts that its family has not; UNIMPLEMENTED the packing (GPTQ, AWQ, 8-bit, ...) of weights that
// cannot be read.
StatusOr<WrittenModel> WriteModel(const WriteModelOptions& options);

struct TrainedModelOptions {
  std::filesystem::path model;  // That the training started from.
  std::filesystem::path out;    // Is replaced.
  // The model's; null = training leaves nothing of its files as it is.
  const model::DecoderConfig* config = nullptr;
  TextConfig text;                                // For chat, beside the weights.
  weights::SafetensorsWriter::Progress progress;  // May be empty.
  ReadValue values = {};                          // Empty: the store's own.
};

// The model folder that a full fine-tuning leaves: the trained weights (canonical names) in fp32, with config
// and tokenizer files of the model it started from, and config.json says fp32.
StatusOr<WrittenModel> WriteTrainedModel(const TrainedModelOptions& options,
                                         const params::ParameterStore& store);

}  // namespace ft::checkpoint
