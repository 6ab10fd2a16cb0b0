#include "tests/golden/compare.h"

#include <fnmatch.h>

#include <algorithm>
#include <iostream>

#include "tests/golden/case_result.h"
#include "tests/golden/not_built.h"
#include "tests/golden/run_case.h"
#include "worker/model/ops/micro_gemm.h"
#include "worker/rank/device.h"
#include "worker/rank/flags.h"

namespace ft::golden {
namespace {

namespace fs = std::filesystem;

struct Counts {
  size_t passed = 0, failed = 0;
  size_t not_built = 0;  // Listed, and do not pass.
  size_t stale = 0;      // Listed, and pass.
};

// The globs of all values of --cases.
std::vector<std::string> Globs(const std::vector<std::string>& values) {
  std::vector<std::string> globs;
  for (const std::string& value : values) {
    for (size_t begin = 0; (begin = value.find_first_not_of(", \t", begin)) != std::string::npos;) {
      const size_t end = std::min(value.find_first_of(", \t", begin), value.size());
      globs.push_back(value.substr(begin, end - begin));
      begin = end;
    }
  }
  return globs;
}

StatusOr<CompareOptions> Parse(const std::vector<std::string>& arguments) {
  ASSIGN_OR_RETURN(
      const rank::Flags flags,
      rank::Flags::Parse(arguments, {"cases", "dtype", "device", "bf16-products", "not-built"}, {}));
  if (flags.positional().size() != 1) return absl::InvalidArgumentError("expects one folder of cases");
  CompareOptions options{.dir = flags.positional()[0], .not_built = flags.Get("not-built")};
  options.dtype = flags.Get("dtype", options.dtype);
  options.device = flags.Get("device", options.device);
  if (flags.Has("cases")) options.globs = Globs(flags.All("cases"));
  if (options.globs.empty())
    return absl::InvalidArgumentError("--cases expects globs, parted by commas or spaces");
  if (options.dtype != "fp32" && options.dtype != "bf16" && options.dtype != "fp16") {
    return absl::InvalidArgumentError("--dtype is fp32, bf16 or fp16");
  }
  const std::string products = flags.Get("bf16-products", "own");
  if (products != "own" && products != "emulated") {
    return absl::InvalidArgumentError("--bf16-products is own or emulated");
  }
  options.emulate_bf16_products = products == "emulated";
  return options;
}

// The folders below `dir`, in name order; `dir` itself when it is a case.
StatusOr<std::vector<fs::path>> Folders(const fs::path& dir) {
  std::error_code error;
  if (!fs::is_directory(dir, error)) return absl::NotFoundError(StrCat(dir.string(), ": no such folder"));
  if (IsCase(dir)) return std::vector<fs::path>{fs::canonical(dir, error)};
  std::vector<fs::path> folders;
  for (fs::directory_iterator entry(dir, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_directory(ignored)) folders.push_back(entry->path());
  }
  if (error) return absl::UnavailableError(StrCat(dir.string(), ": ", error.message()));
  std::sort(folders.begin(), folders.end());
  return folders;
}

// Those whose name matches a glob. A glob without a case is more often misspelt than meant.
StatusOr<std::vector<fs::path>> Selected(const CompareOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<fs::path> folders, Folders(options.dir));
  std::vector<fs::path> selected;
  std::vector<bool> used(options.globs.size(), false);
  for (const fs::path& folder : folders) {
    bool matches = false;
    for (size_t i = 0; i < options.globs.size(); ++i) {
      if (::fnmatch(options.globs[i].c_str(), folder.filename().c_str(), 0) != 0) continue;
      used[i] = matches = true;
    }
    if (matches) selected.push_back(folder);
  }
  for (size_t i = 0; i < used.size(); ++i) {
    if (!used[i])
      return absl::NotFoundError(StrCat(options.dir.string(), ": no case matches ", options.globs[i]));
  }
  return selected;
}

// The line of one case, counted.
std::string Judge(const CaseResult& result, const NotBuilt* listed, const fs::path& list, Counts& counts) {
  if (listed == nullptr) {
    ++(result.passed() ? counts.passed : counts.failed);
    return result.Line();
  }
  if (!result.passed()) {
    ++counts.not_built;
    return StrCat("NOT BUILT ", result.name, "  ", listed->reason, "  (", result.Details(), ")");
  }
  ++counts.stale;
  return StrCat("FAIL ", result.name, "  passes, but ", list.string(), " line ", listed->line,
                " lists it as not built: take it off the list  (", result.Details(), ")");
}

std::string Summary(const Counts& counts) {
  std::string text = StrCat(counts.passed, " of ", counts.passed + counts.failed, " cases pass");
  if (counts.not_built > 0) StrAppend(&text, ", ", counts.not_built, " are not built");
  if (counts.stale > 0) StrAppend(&text, ", ", counts.stale, " must be taken off the list");
  return text;
}

}  // namespace

StatusOr<bool> Compare(const CompareOptions& options, std::ostream& out) {
  std::vector<NotBuilt> list;
  if (!options.not_built.empty()) {
    ASSIGN_OR_RETURN(list, ReadNotBuilt(options.not_built));
  }
  ASSIGN_OR_RETURN(const std::vector<fs::path> folders, Selected(options));
  ASSIGN_OR_RETURN(const at::Device device, rank::OpenDevice(options.device));
  if (options.emulate_bf16_products) ops::EmulateBf16Products();
  Counts counts;
  for (const fs::path& folder : folders) {
    const CaseResult result = RunCase(folder, options.dtype, device);
    out << Judge(result, Find(list, result.name), options.not_built, counts) << std::endl;
  }
  out << Summary(counts) << std::endl;
  return counts.failed == 0 && counts.stale == 0;
}

StatusOr<bool> CompareVerb(const std::vector<std::string>& arguments) {
  ASSIGN_OR_RETURN(const CompareOptions options, Parse(arguments));
  return Compare(options, std::cout);
}

}  // namespace ft::golden
