#include "core/recipe/supported.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "core/recipe/hub_source.h"
#include "core/recipe/parse.h"
#include "core/recipe/sharding.h"

namespace ft::recipe {
namespace {

// By name, as the files of worker/model/decoder give them (cmake/family_names.cmake).
constexpr std::string_view kFamilies[] = {
#include "core/recipe/family_names.inc"
};

constexpr size_t kLongestName = 64;  // Of a family whose nearest is looked for.

// Collects one line for each thing that is refused.
class Refusals {
 public:
  void operator()(bool unsupported, std::string_view what, std::string_view instead) {
    if (unsupported) Add(StrCat(what, " is not supported yet: ", instead));
  }
  void All(const Status& refused) {
    if (!refused.ok()) Add(Message(refused));
  }
  void Source(std::string_view key, const std::string& source, RepositoryKind kind) {
    const Status remote = CheckRemoteSource(source, kind);
    if (!remote.ok()) Add(StrCat(key, ": ", Message(remote)));
  }
  const std::string& text() const { return text_; }

 private:
  void Add(std::string_view line) { StrAppend(&text_, text_.empty() ? "" : "\n", line); }
  std::string text_;
};

void RefuseModel(const ModelSpec& model, std::string_view tokenize, Refusals& refuse) {
  refuse.Source("model.source", model.source, RepositoryKind::kModel);
  refuse(model.encode_special_tokens && tokenize != "pieces", "model.encode_special_tokens",
         "use false, or train.tokenize: pieces, which reads markup in every text");
}

void RefuseData(const std::string& key, const DataSource& source, Refusals& refuse) {
  refuse.Source(key + ".source", source.source, RepositoryKind::kDataset);
  refuse(IsRemoteSource(source.source) && !IsHubSource(source.source) &&
             (!source.subset.empty() || !source.folder.empty() || !source.split.empty()),
         key + ".subset, folder and split", "leave them out, they choose files of a folder or of a hub");
}

}  // namespace

std::span<const std::string_view> Families() { return kFamilies; }

Status CheckFamily(std::string_view model_type) {
  const std::set<std::string> known(std::begin(kFamilies), std::end(kFamilies));
  if (known.contains(std::string(model_type))) return absl::OkStatus();
  const std::string nearest = Nearest(model_type.substr(0, kLongestName), known);
  std::string all;
  for (const std::string_view family : kFamilies) StrAppend(&all, all.empty() ? "" : ", ", family);
  return absl::UnimplementedError(StrCat("model family \"", model_type, "\" is not supported by this version",
                                         nearest.empty() ? "" : StrCat(", the nearest that is: ", nearest),
                                         " (supported: ", all, ")"));
}

Status CheckSupported(const JobSpec& spec) {
  Refusals refuse;
  refuse(!spec.recipe.empty(), "recipe", "write the settings into the job file");
  RefuseModel(spec.model, spec.train.tokenize, refuse);
  refuse(IsRemoteSource(spec.method.init_from), "method.init_from of an adapter that is not on this machine",
         "download it and give its folder");
  for (size_t i = 0; i < spec.data.size(); ++i) RefuseData(StrCat("data[", i, "]"), spec.data[i], refuse);
  refuse.All(Sharding::Of(spec).status());
  return refuse.text().empty() ? absl::OkStatus() : absl::UnimplementedError(refuse.text());
}

}  // namespace ft::recipe
