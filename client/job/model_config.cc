#include "client/job/model_config.h"

#include <filesystem>
#include <utility>

#include "core/base/file.h"
#include "core/gguf/gguf_config.h"
#include "core/recipe/hub_source.h"

namespace ft::client {
namespace {

constexpr uint64_t kMostBytes = 1 << 20;

// A GGUF file's header holds the sizes.
StatusOr<ModelConfig> OfGguf(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const RandomAccessFile file, RandomAccessFile::Open(path));
  const StatusOr<gguf::GgufHeader> header = gguf::ReadGgufHeader(file);
  if (!header.ok()) return WithContext(header.status(), path.string());
  StatusOr<std::string> json = gguf::ConfigJson(*header);
  if (!json.ok()) return WithContext(json.status(), path.string());
  return ModelConfig{.file = path.string(), .text = *std::move(json)};
}

}  // namespace

bool IsAtHand(const JobText& text, const std::string& source) {
  std::error_code error;
  return !source.empty() && !recipe::IsRemoteSource(source) &&
         std::filesystem::exists(LocalPath(text.base, source), error);
}

StatusOr<ModelConfig> ModelConfigOf(const JobText& text, const recipe::JobSpec& spec) {
  const std::string& source = spec.model.source;
  const std::filesystem::path path = LocalPath(text.base, source);
  if (IsAtHand(text, source) && path.extension() == ".gguf") return OfGguf(path);
  if (IsAtHand(text, source)) {
    const std::string file = (path / "config.json").string();
    StatusOr<std::string> json = ReadFile(file, kMostBytes);
    if (!json.ok()) return absl::InvalidArgumentError(std::string(Message(json.status())));
    return ModelConfig{.file = file, .text = *std::move(json)};
  }
  if (text.model_config.empty()) {
    return absl::InvalidArgumentError(
        StrCat(text.file_name,
               ": model.source: there is no config.json at hand that tells the model's sizes: give its "
               "folder with --set model.source=DIR"));
  }
  ModelConfig config{.file = "config.json", .text = text.model_config};
  if (!recipe::IsRemoteSource(source)) {
    config.remark = StrCat("model.source: there is nothing at ", path.string(),
                           ", so the sizes are those of the recipe's model");
  }
  return config;
}

}  // namespace ft::client
