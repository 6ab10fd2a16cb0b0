#include "core/hub/wanted.h"

#include <algorithm>
#include <cctype>
#include <functional>

#include "core/base/excerpt.h"

namespace ft::hub {
namespace {

using Keeps = std::function<bool(const HubFile&)>;

constexpr std::string_view kModelEndings[] = {".json", ".model", ".tiktoken", ".jinja", ".txt", ".py"};
// In the order in which one is chosen where a repository holds its data in several.
constexpr std::string_view kDataEndings[] = {".jsonl", ".json", ".csv", ".tsv", ".xlsx", ".parquet", ".txt"};
// Not data, whatever it ends in.
constexpr std::string_view kAbout[] = {"dataset_infos.json", "dataset_info.json", "dataset_dict.json",
                                       "state.json",         "readme.txt",        "license.txt",
                                       "requirements.txt",   ".gitattributes"};

// The words by which names tell splits apart.
struct SplitWord {
  std::string_view word, split;
};
constexpr SplitWord kSplitWords[] = {
    {"train", "train"},           {"training", "train"},   {"test", "test"},
    {"testing", "test"},          {"eval", "test"},        {"evaluation", "test"},
    {"validation", "validation"}, {"valid", "validation"}, {"val", "validation"},
    {"dev", "validation"}};

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

std::string_view BaseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::vector<HubFile> Kept(const std::vector<HubFile>& files, const Keeps& keeps) {
  std::vector<HubFile> kept;
  std::copy_if(files.begin(), files.end(), std::back_inserter(kept), keeps);
  return kept;
}

// The split that a path names, by a whole word of it; the last one counts. Empty = none.
std::string_view SplitOf(std::string_view path) {
  const std::string lower = Lower(path);
  std::string_view split;
  size_t begin = 0;
  while (begin < lower.size()) {
    size_t end = begin;
    while (end < lower.size() && std::isalpha(static_cast<unsigned char>(lower[end]))) ++end;
    const std::string_view word = std::string_view(lower).substr(begin, end - begin);
    for (const SplitWord& known : kSplitWords) {
      if (word == known.word) split = known.split;
    }
    begin = end + 1;
  }
  return split;
}

bool HasPart(std::string_view path, std::string_view subset) {
  if (BaseName(path).starts_with(subset)) return true;
  return StrCat("/", path).find(StrCat("/", subset, "/")) != std::string::npos;
}

// Names of files for a message: "a, b and 3 more".
std::string Some(const std::vector<HubFile>& files) {
  constexpr size_t kMost = 4;
  std::string text;
  for (size_t i = 0; i < std::min(kMost, files.size()); ++i)
    StrAppend(&text, i == 0 ? "" : ", ", Excerpt(files[i].path, 60));
  if (files.size() > kMost) StrAppend(&text, " and ", files.size() - kMost, " more");
  return text.empty() ? "none" : text;
}

Status NoneLeft(const std::vector<HubFile>& files, std::string_view what) {
  return absl::InvalidArgumentError(StrCat(what, "; its files are ", Some(files)));
}

}  // namespace

bool IsWeights(std::string_view path) { return path.ends_with(".safetensors") || path.ends_with(".bin"); }

StatusOr<std::vector<HubFile>> WantedOfModel(const std::vector<HubFile>& files) {
  const std::vector<HubFile> top =
      Kept(files, [](const HubFile& file) { return file.path.find('/') == std::string::npos; });
  const auto ends = [](std::string_view ending) {
    return [ending](const HubFile& file) { return file.path.ends_with(ending); };
  };
  std::vector<HubFile> weights = Kept(top, ends(".safetensors"));
  // Mistral's own form of the same weights, beside the one that everybody else reads.
  const auto other = std::remove_if(weights.begin(), weights.end(), [](const HubFile& file) {
    return file.path.starts_with("consolidated");
  });
  if (other != weights.begin()) weights.erase(other, weights.end());
  if (weights.empty()) {
    weights = Kept(top, [](const HubFile& file) {
      return file.path.ends_with(".bin") && file.path != "training_args.bin";
    });
  }
  std::vector<HubFile> wanted = Kept(top, [](const HubFile& file) {
    return std::any_of(std::begin(kModelEndings), std::end(kModelEndings),
                       [&](std::string_view ending) { return file.path.ends_with(ending); });
  });
  const bool has_config = std::any_of(wanted.begin(), wanted.end(),
                                      [](const HubFile& file) { return file.path == "config.json"; });
  if (!has_config) return NoneLeft(files, "has no config.json: is it a model in Hugging Face's layout?");
  if (weights.empty()) return NoneLeft(files, "has no weights (*.safetensors or *.bin)");
  wanted.insert(wanted.end(), weights.begin(), weights.end());
  return wanted;
}

StatusOr<std::vector<HubFile>> WantedOfData(const std::vector<HubFile>& files, const DataPart& part) {
  std::vector<HubFile> left = files;
  if (!part.folder.empty()) {
    const std::string folder = part.folder.substr(0, part.folder.find_last_not_of('/') + 1);
    left = Kept(left, [&](const HubFile& file) {
      return file.path == folder || file.path.starts_with(StrCat(folder, "/"));
    });
    if (left.empty()) return NoneLeft(files, StrCat("has nothing below folder: ", part.folder));
  }
  if (!part.subset.empty()) {
    const std::vector<HubFile> of_subset =
        Kept(left, [&](const HubFile& file) { return HasPart(file.path, part.subset); });
    if (of_subset.empty()) return NoneLeft(left, StrCat("has no subset: ", part.subset));
    left = of_subset;
  }
  std::vector<HubFile> readable;
  for (const std::string_view ending : kDataEndings) {
    readable = Kept(left, [&](const HubFile& file) {
      const std::string name = Lower(BaseName(file.path));
      return name.ends_with(ending) &&
             std::find(std::begin(kAbout), std::end(kAbout), name) == std::end(kAbout);
    });
    if (!readable.empty()) break;
  }
  if (readable.empty()) return NoneLeft(left, "has no file of data that this program reads");
  const std::string split = part.split.empty() ? "train" : part.split;
  const auto of_split = [&](const HubFile& file) { return SplitOf(file.path) == split; };
  std::vector<HubFile> wanted = Kept(readable, of_split);
  // Files whose names tell no split are all for training.
  if (wanted.empty() && split == "train")
    wanted = Kept(readable, [](const HubFile& file) { return SplitOf(file.path).empty(); });
  if (wanted.empty()) return NoneLeft(readable, StrCat("has no split: ", split));
  std::sort(wanted.begin(), wanted.end(), [](const HubFile& a, const HubFile& b) { return a.path < b.path; });
  return wanted;
}

}  // namespace ft::hub
