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

plan::ModelShape ShapeOf(const model::DecoderConfig& config);

}  // namespace ft::rank
