#include "worker/rank/prepare_job.h"

#include <utility>

#include "worker/data/prepare/held_out_file.h"
#include "worker/data/prepare/prepare.h"
#include "worker/rank/evaluation_files.h"

namespace ft::rank {
namespace {

// What else the job reads, so that it is refused before a device is taken: a sentence on each file of held-out data.
StatusOr<std::vector<std::string>> CheckEvaluation(const prepare::PrepareRequest& request) {
  const recipe::EvaluateSpec& evaluate = request.spec.train.evaluate;
  RETURN_IF_ERROR(AllPrompts(evaluate, request.roots).status());
  std::vector<std::string> lines;
  for (const std::string& file : evaluate.perplexity) {
    ASSIGN_OR_RETURN(const prepare::PreparedReport report, PrepareHeldOut(request, file));
    lines.push_back(prepare::HeldOutSentence(file, report, request.spec.train.max_length));
  }
  return lines;
}

}  // namespace

prepare::PrepareRequest PrepareRequestOf(const Attempt& attempt,
                                         std::function<void(int64_t records)> progress) {
  prepare::PrepareRequest request{.spec = attempt.spec,
                                  .model = attempt.spec.model.source,
                                  .files = attempt.sources.data,
                                  .roots = {.allowed = attempt.run.roots},
                                  .date = attempt.run.job_created,
                                  .cache_dir = attempt.run.cache_dir / "data",
                                  .progress = std::move(progress)};
  std::vector<std::filesystem::path>& allowed = request.roots.allowed;
  allowed.insert(allowed.end(), attempt.sources.caches.begin(), attempt.sources.caches.end());
  return request;
}

records::Result RunPrepare(const Attempt& attempt, Reporter& reporter) {
  prepare::PrepareRequest request = PrepareRequestOf(attempt, [&](int64_t) { reporter.Beat("prepare"); });
  StatusOr<std::filesystem::path> model = prepare::ResolveSource(attempt.spec.model.source, request.roots);
  if (!model.ok()) return Failed(WithClass(WithContext(model.status(), "model.source"), "CONFIG"));
  request.model = *model;
  const StatusOr<prepare::PreparedReport> report = prepare::Prepare(request);
  if (!report.ok()) {
    return Failed(
        WithClass(report.status(), absl::IsResourceExhausted(report.status()) ? "CHECKPOINT_IO" : "DATA"));
  }
  const StatusOr<std::vector<std::string>> others = CheckEvaluation(request);
  if (!others.ok()) return Failed(WithClass(others.status(), "DATA"));
  std::vector<std::string> lines = attempt.sources.lines;
  lines.insert(lines.end(), report->lines.begin(), report->lines.end());
  lines.insert(lines.end(), others->begin(), others->end());
  const Status written = reporter.Write(records::Prepared{.cache_path = report->cache_path.string(),
                                                          .cache_sha256 = report->cache_digest,
                                                          .samples = report->samples,
                                                          .tokens = report->tokens,
                                                          .supervised_tokens = report->supervised_tokens,
                                                          .truncated_samples = report->truncated_samples,
                                                          .holdout_samples = report->holdout_samples,
                                                          .longest_sample = report->longest_sample,
                                                          .report = std::move(lines)});
  if (!written.ok()) return Failed(WithClass(written, "CHECKPOINT_IO"));
  return {.state = records::ResultState::kSucceeded};
}

}  // namespace ft::rank
