#include "worker/data/prepare/prompt_file.h"

#include <array>
#include <string_view>

#include "absl/strings/ascii.h"
#include "core/base/counted.h"
#include "worker/data/readers/columns.h"
#include "worker/data/readers/record.h"

namespace ft::prepare {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"prompt", "question", "input", "instruction"};

// The field that holds the prompt; null where none does.
const data::Field* PromptOf(const data::Record& record) {
  for (const std::string_view name : kNames) {
    for (const data::Field& field : record.fields) {
      if (absl::AsciiStrToLower(field.name) == name) return &field;
    }
  }
  return record.fields.size() == 1 ? &record.fields[0] : nullptr;
}

StatusOr<std::string> TextOf(const data::Record& record) {
  const std::string place = data::Describe(record.origin);
  const data::Field* field = PromptOf(record);
  if (field == nullptr) {
    return absl::InvalidArgumentError(
        StrCat(place, ": no field is a prompt: name one `prompt`, `question`, `input` or `instruction`"));
  }
  const bool is_text = field->kind == data::FieldKind::kText || field->kind == data::FieldKind::kNumber;
  if (!is_text || data::Trimmed(field->text).empty()) {
    return absl::InvalidArgumentError(
        StrCat(place, ": ", field->name, is_text ? " is empty" : " is no text", ": a prompt has words"));
  }
  return field->text;
}

}  // namespace

StatusOr<std::vector<std::string>> ReadPrompts(const std::filesystem::path& file, size_t most) {
  ASSIGN_OR_RETURN(const auto reader,
                   data::OpenRecords(file, {.documents = data::IsPlainText(file) ? "lines" : "auto"}));
  std::vector<std::string> prompts;
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<data::Record> record, reader->Next());
    if (!record) break;
    if (prompts.size() == most) {
      return absl::InvalidArgumentError(StrCat(file.string(), " has more than ",
                                               Counted(static_cast<int64_t>(most), "prompt"),
                                               ": split the file, or take some out"));
    }
    ASSIGN_OR_RETURN(std::string prompt, TextOf(*record));
    prompts.push_back(std::move(prompt));
  }
  if (prompts.empty())
    return absl::InvalidArgumentError(StrCat(file.string(), " has no prompts: give one a line"));
  return prompts;
}

}  // namespace ft::prepare
