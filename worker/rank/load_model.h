// A model from wherever it lies: a folder in Hugging Face layout, or a .gguf file.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "core/plan/estimate.h"
#include "worker/model/run/language_model.h"
#include "worker/model/weights/model_digest.h"
#include "worker/train/checkpoint/adapter.h"

namespace ft::rank {

StatusOr<model::DecoderConfig> ReadModelConfig(const std::filesystem::path& model);

// What --model and --adapter name together: a base and a LoRA adapter on it, or the whole model that a full
// fine-tuning wrote, which needs no base.
struct Trained {
  std::filesystem::path model;    // What is loaded: the base, or the whole model.
  std::filesystem::path adapter;  // PEFT folder; empty = none, or a whole model.
  checkpoint::TextConfig text;    // How it was trained; the defaults when nothing says.
  bool whole() const { return adapter.empty(); }
};

// `model` may be empty where the adapter's adapter_config.json names its base. INVALID_ARGUMENT or NOT_FOUND
// say which folder is not there and, when the base is the name of a model hub, to give --model.
StatusOr<Trained> ResolveTrained(const std::string& model, const std::string& adapter);
// `progress` is called for each tensor that is read; may be empty.
StatusOr<std::unique_ptr<run::LanguageModel>> LoadModel(const std::filesystem::path& model,
                                                        const run::ModelOptions& options,
                                                        const weights::ReadProgress& progress = nullptr);

// The model as a job left it. The options' adapter fields are filled in from the adapter.
StatusOr<std::unique_ptr<run::LanguageModel>> LoadTrained(const Trained& trained, run::ModelOptions options);

plan::ModelShape ShapeOf(const model::DecoderConfig& config);

}  // namespace ft::rank
