#include "tests/golden/tokenizer_case.h"

#include <algorithm>
#include <iterator>

#include "tests/support/tokenizer_reference.h"

namespace ft::golden {
namespace {

namespace fs = std::filesystem;
using ft::testing::kTokenizerReferences;

bool IsKnown(const std::string& name) {
  return std::any_of(std::begin(kTokenizerReferences), std::end(kTokenizerReferences),
                     [&](const auto& reference) { return reference.folder == name; });
}

// Folders of vocabularies that have no row in the table.
std::string Unknown(const fs::path& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    const std::string name = entry->path().filename().string();
    if (entry->is_directory(ignored) && !IsKnown(name)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) StrAppend(&text, text.empty() ? "" : ", ", name);
  return text;
}

}  // namespace

StatusOr<std::vector<Measure>> TokenizerCase(const fs::path& folder, std::vector<std::string>& skipped) {
  std::vector<Measure> measures;
  for (const auto& reference : kTokenizerReferences) {
    std::error_code error;
    if (!fs::exists(folder / reference.folder / reference.vocabulary, error)) {
      skipped.push_back(StrCat(reference.folder, " (its ", reference.vocabulary, " is not here)"));
      continue;
    }
    ASSIGN_OR_RETURN(const auto differences, ft::testing::CompareTokenizer(folder, reference));
    Record(measures, {reference.folder, static_cast<double>(differences.count), 0});
  }
  const std::string unknown = Unknown(folder);
  if (!unknown.empty()) skipped.push_back(StrCat(unknown, " (vocabularies of kinds that are not read)"));
  return measures;
}

}  // namespace ft::golden
