#include "worker/rank/prepare_job.h"

#include "worker/data/prepare/prepare.h"

namespace ft::rank {

records::Result RunPrepare(const Attempt& attempt, Reporter& reporter) {
  prepare::PrepareRequest request{.spec = attempt.spec,
                                  .model = attempt.spec.model.source,
                                  .files = attempt.sources.data,
                                  .roots = {.allowed = attempt.run.roots},
                                  .date = attempt.run.job_created,
                                  .cache_dir = attempt.run.cache_dir / "data",
                                  .progress = [&](int64_t) { reporter.Beat("prepare"); }};
  std::vector<std::filesystem::path>& allowed = request.roots.allowed;
  allowed.insert(allowed.end(), attempt.sources.caches.begin(), attempt.sources.caches.end());
  StatusOr<std::filesystem::path> model = prepare::ResolveSource(attempt.spec.model.source, request.roots);
  if (!model.ok()) return Failed(WithClass(WithContext(model.status(), "model.source"), "CONFIG"));
  request.model = *model;
  const StatusOr<prepare::PreparedReport> report = prepare::Prepare(request);
  if (!report.ok()) {
    return Failed(
        WithClass(report.status(), absl::IsResourceExhausted(report.status()) ? "CHECKPOINT_IO" : "DATA"));
  }
  std::vector<std::string> lines = attempt.sources.lines;
  lines.insert(lines.end(), report->lines.begin(), report->lines.end());
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
