#include "worker/rank/evaluation_files.h"

#include <utility>

#include "worker/data/prepare/held_out_file.h"
#include "worker/data/prepare/paths.h"
#include "worker/data/prepare/prompt_file.h"

namespace ft::rank {
namespace {

constexpr const char* kPromptFiles = "train.evaluate.prompt_files";
constexpr const char* kPerplexity = "train.evaluate.perplexity";

StatusOr<std::vector<std::string>> PromptsOf(const std::string& file, const prepare::SourceRoots& roots,
                                             size_t most) {
  ASSIGN_OR_RETURN(const std::filesystem::path path, prepare::ResolveSource(file, roots));
  return prepare::ReadPrompts(path, most);
}

}  // namespace

StatusOr<std::vector<std::string>> AllPrompts(const recipe::EvaluateSpec& evaluate,
                                              const prepare::SourceRoots& roots) {
  std::vector<std::string> prompts;
  for (const std::string& file : evaluate.prompt_files) {
    StatusOr<std::vector<std::string>> of_file = PromptsOf(file, roots, kMaxFilePrompts);
    if (!of_file.ok()) return WithContext(of_file.status(), kPromptFiles);
    prompts.insert(prompts.end(), of_file->begin(), of_file->end());
  }
  if (prompts.size() > kMaxFilePrompts) {
    return absl::InvalidArgumentError(StrCat(kPromptFiles, ": the files have ", prompts.size(),
                                             " prompts, and a training answers at most ", kMaxFilePrompts,
                                             " of files: ask the rest with `ftctl eval JOB --prompts FILE`"));
  }
  prompts.insert(prompts.begin(), evaluate.prompts.begin(), evaluate.prompts.end());
  return prompts;
}

StatusOr<prepare::PreparedReport> PrepareHeldOut(const prepare::PrepareRequest& request_of_job,
                                                 const std::string& file) {
  prepare::PrepareRequest request = request_of_job;
  request.spec = prepare::JobOfFile(request_of_job.spec, file);
  request.files.clear();
  StatusOr<prepare::PreparedReport> report = prepare::Prepare(request);
  if (!report.ok()) return WithContext(report.status(), kPerplexity);
  return report;
}

StatusOr<std::vector<HeldOutFile>> OpenHeldOutFiles(const prepare::PrepareRequest& request_of_job) {
  const std::vector<std::string>& files = request_of_job.spec.train.evaluate.perplexity;
  const std::vector<std::string> names = prepare::NamesOfFiles(files);
  std::vector<HeldOutFile> opened;
  for (size_t i = 0; i < files.size(); ++i) {
    ASSIGN_OR_RETURN(const prepare::PreparedReport report, PrepareHeldOut(request_of_job, files[i]));
    ASSIGN_OR_RETURN(data::TokenCache samples, data::TokenCache::Open(report.cache_path, /*verify=*/false));
    opened.push_back({names[i], std::move(samples)});
  }
  return opened;
}

}  // namespace ft::rank
