// A model from wherever it lies: a folder in Hugging Face layout, or a .gguf file.
#pragma once

#include <filesystem>
#include <memory>

#include "core/plan/estimate.h"
#include "worker/run/language_model.h"

namespace ft::rank {

StatusOr<model::DecoderConfig> ReadModelConfig(const std::filesystem::path& model);
StatusOr<std::unique_ptr<run::LanguageModel>> LoadModel(const std::filesystem::path& model,
                                                        const run::ModelOptions& options);

// The model as a job left it. `trained` is a LoRA adapter on `model`, or the whole model that a full fine-tuning wrote;
// empty = the model as it is. The options' adapter fields are filled in from it.
StatusOr<std::unique_ptr<run::LanguageModel>> LoadTrained(const std::filesystem::path& model,
                                                          const std::filesystem::path& trained,
                                                          run::ModelOptions options);

plan::ModelShape ShapeOf(const model::DecoderConfig& config);

}  // namespace ft::rank
