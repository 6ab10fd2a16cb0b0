#include "worker/model/weights/renamed_source.h"

#include <optional>
#include <utility>

namespace ft::weights {
namespace {

constexpr std::string_view kDecoder = "model.";
constexpr std::string_view kEmbedding = "embed_tokens.weight";
constexpr std::string_view kHead = "lm_head.";
constexpr std::string_view kAdapter = "base_model.model.";  // Of an adapter that has an embedding of its own.

// What stands before the decoder's names; nothing when there is no embedding, or more than one.
std::optional<std::string> PrefixOf(const TensorSource& source) {
  std::optional<std::string> prefix;
  for (const TensorInfo& info : source.tensors()) {
    const std::string_view name = info.name;
    if (!name.ends_with(kEmbedding)) continue;
    const std::string_view before = name.substr(0, name.size() - kEmbedding.size());
    if (!before.empty() && !before.ends_with('.')) continue;
    if (prefix) return std::nullopt;
    prefix = std::string(before);
  }
  return prefix;
}

}  // namespace

StatusOr<std::unique_ptr<RenamedSource>> RenamedSource::Make(
    std::unique_ptr<TensorSource> source, const std::function<std::string(const std::string&)>& rename) {
  std::unique_ptr<RenamedSource> renamed(new RenamedSource(std::move(source)));
  for (TensorInfo info : renamed->source_->tensors()) {
    info.name = rename(info.name);
    RETURN_IF_ERROR(renamed->table_.Add(std::move(info)));
  }
  for (const std::string& remark : renamed->source_->remarks()) renamed->AddRemark(remark);
  return renamed;
}

Status RenamedSource::ReadBytes(const TensorInfo& info, std::span<std::byte> out) const {
  const std::optional<size_t> index = table_.IndexOf(info.name);
  if (!index) return absl::NotFoundError(StrCat("no tensor '", info.name, "' in the model's files"));
  return source_->ReadBytes(source_->tensors()[*index], out);
}

Status RenamedSource::ReadPart(const TensorInfo& info, uint64_t first, std::span<std::byte> out) const {
  const std::optional<size_t> index = table_.IndexOf(info.name);
  if (!index) return absl::NotFoundError(StrCat("no tensor '", info.name, "' in the model's files"));
  return source_->ReadPart(source_->tensors()[*index], first, out);
}

StatusOr<std::unique_ptr<TensorSource>> WithDecoderNames(std::unique_ptr<TensorSource> source) {
  const std::optional<std::string> prefix = PrefixOf(*source);
  if (!prefix || *prefix == kDecoder || prefix->starts_with(kAdapter)) return source;
  // The head stands beside the decoder, not in it.
  const std::string outer =
      prefix->ends_with(kDecoder) ? prefix->substr(0, prefix->size() - kDecoder.size()) : *prefix;
  const auto rename = [&](const std::string& name) {
    if (prefix->empty() && name.starts_with(kDecoder)) return name;
    if (name.starts_with(outer + std::string(kHead))) return name.substr(outer.size());
    if (name.starts_with(*prefix)) return StrCat(kDecoder, std::string_view(name).substr(prefix->size()));
    return name;
  };
  ASSIGN_OR_RETURN(auto renamed, RenamedSource::Make(std::move(source), rename));
  renamed->AddRemark(
      StrCat("the tensors are called ", *prefix, kEmbedding, " and so on: read as ", kDecoder, kEmbedding));
  return renamed;
}

}  // namespace ft::weights
