#include "worker/rank/golden.h"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "worker/rank/golden_model.h"
#include "worker/rank/golden_quant.h"

namespace ft::rank {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  fs::path dir;
  std::string glob = "*";
  std::string dtype = "fp32";
};

StatusOr<Arguments> Parse(const std::vector<std::string>& given) {
  Arguments arguments;
  for (size_t i = 0; i < given.size(); ++i) {
    const bool has_value = i + 1 < given.size();
    if (given[i] == "--cases" && has_value) {
      arguments.glob = given[++i];
    } else if (given[i] == "--dtype" && has_value) {
      arguments.dtype = given[++i];
    } else if (!given[i].starts_with("-") && arguments.dir.empty()) {
      arguments.dir = given[i];
    } else {
      return absl::InvalidArgumentError(StrCat("unexpected argument \"", given[i], "\""));
    }
  }
  if (arguments.dir.empty()) return absl::InvalidArgumentError("which folder of cases?");
  if (arguments.dtype != "fp32" && arguments.dtype != "bf16" && arguments.dtype != "fp16") {
    return absl::InvalidArgumentError("--dtype is fp32, bf16 or fp16");
  }
  return arguments;
}

// The folders below `dir` whose name matches, in name order; `dir` itself when it is a case.
StatusOr<std::vector<fs::path>> CaseFolders(const Arguments& arguments) {
  std::error_code error;
  if (!fs::is_directory(arguments.dir, error)) {
    return absl::NotFoundError(StrCat(arguments.dir.string(), ": no such folder"));
  }
  if (fs::exists(arguments.dir / "expected.safetensors", error) ||
      fs::exists(arguments.dir / "nf4.safetensors", error)) {
    return std::vector<fs::path>{arguments.dir};
  }
  std::vector<fs::path> folders;
  for (const fs::directory_entry& entry : fs::directory_iterator(arguments.dir, error)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory(error) && ::fnmatch(arguments.glob.c_str(), name.c_str(), 0) == 0) {
      folders.push_back(entry.path());
    }
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

StatusOr<std::vector<Measure>> Measures(const fs::path& folder, const std::string& dtype) {
  std::error_code error;
  const auto has = [&](const char* file) { return fs::exists(folder / file, error); };
  if (has("nf4.safetensors")) return Nf4Case(folder);
  if (has("base_4bit.safetensors") && has("adapter_initial")) return QloraStepCase(folder);
  if (has("config.json") && has("input.json") && has("expected.safetensors")) return ModelCase(folder, dtype);
  return absl::UnimplementedError("no kind of case that this version compares");
}

}  // namespace

bool CaseResult::passed() const {
  return status.ok() && !measures.empty() &&
         std::all_of(measures.begin(), measures.end(), [](const Measure& m) { return m.passed(); });
}

std::string CaseResult::Line() const {
  std::string line = StrCat(passed() ? "PASS " : "FAIL ", name);
  if (!status.ok())
    StrAppend(&line, absl::IsUnimplemented(status) ? "  unsupported: " : "  ", Message(status));
  for (const Measure& measure : measures) {
    char numbers[64];
    std::snprintf(numbers, sizeof numbers, " %.2g/%.2g", measure.error, measure.limit);
    StrAppend(&line, "  ", measure.name, numbers, measure.passed() ? "" : " !");
  }
  return line;
}

void Record(std::vector<Measure>& measures, const Measure& measure) {
  for (Measure& known : measures) {
    if (known.name != measure.name) continue;
    // The worst is the one nearest to, or farthest beyond, its limit; not a number is worst of all.
    if (!(measure.error * known.limit <= known.error * measure.limit)) known = measure;
    return;
  }
  measures.push_back(measure);
}

CaseResult RunCase(const fs::path& folder, const std::string& dtype) {
  CaseResult result;
  result.name = fs::path(folder / "").parent_path().filename().string();
  try {
    StatusOr<std::vector<Measure>> measures = Measures(folder, dtype);
    if (measures.ok()) {
      result.measures = *std::move(measures);
    } else {
      result.status = measures.status();
    }
  } catch (const std::exception& error) {
    result.status = absl::InternalError(error.what());
  }
  return result;
}

int GoldenVerb(const std::vector<std::string>& given) {
  const StatusOr<Arguments> arguments = Parse(given);
  if (!arguments.ok()) {
    std::fprintf(stderr, "ft-rank golden: %s\n", std::string(Message(arguments.status())).c_str());
    return 2;
  }
  const StatusOr<std::vector<fs::path>> folders = CaseFolders(*arguments);
  if (!folders.ok() || folders->empty()) {
    const std::string what(folders.ok() ? "no case matches" : Message(folders.status()));
    std::fprintf(stderr, "ft-rank golden: %s\n", what.c_str());
    return 1;
  }
  size_t passed = 0;
  for (const fs::path& folder : *folders) {
    const CaseResult result = RunCase(folder, arguments->dtype);
    passed += result.passed() ? 1 : 0;
    std::printf("%s\n", result.Line().c_str());
    std::fflush(stdout);
  }
  std::printf("%zu of %zu cases pass\n", passed, folders->size());
  return passed == folders->size() ? 0 : 1;
}

}  // namespace ft::rank
