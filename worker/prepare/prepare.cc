#include "worker/prepare/prepare.h"

#include <utility>

#include "worker/data/token_cache.h"
#include "worker/prepare/collector.h"
#include "worker/prepare/model_files.h"
#include "worker/prepare/token_source.h"

namespace ft::prepare {
namespace {

class Preparer {
 public:
  explicit Preparer(const PrepareRequest& request)
      : request_(request), collector_(request.spec.gate, request.spec.train.max_length) {}

  StatusOr<PreparedReport> Run() {
    if (request_.spec.data.empty()) return absl::InvalidArgumentError("data: names no source; give at least one file");
    for (const recipe::DataSource& source : request_.spec.data) RETURN_IF_ERROR(AddSource(source));
    if (collector_.records() == 0) {
      return absl::InvalidArgumentError(
          StrCat(request_.spec.data[0].source, " holds no records; give a file with at least one"));
    }
    RETURN_IF_ERROR(collector_.Verdict());
    if (collector_.samples() == 0) {
      return absl::InvalidArgumentError(
          StrCat("no sample of ", collector_.records(), " records is left to train on; ", collector_.dropped_samples(),
                 " were dropped without a token that carries loss"));
    }
    return Finish();
  }

 private:
  StatusOr<int64_t> Vocab() const {
    if (request_.vocab_size > 0) return request_.vocab_size;
    return VocabSizeOf(request_.model);
  }

  Status AddSource(const recipe::DataSource& source) {
    ASSIGN_OR_RETURN(const std::filesystem::path path, ResolveSource(source.source, request_.roots));
    if (source.format == "tokens") return AddTokens(source, path);
    return absl::UnimplementedError(StrCat("data format ", source.format, " is not supported yet: use tokens"));
  }

  Status AddTokens(const recipe::DataSource& source, const std::filesystem::path& path) {
    ASSIGN_OR_RETURN(const int64_t vocab, Vocab());
    const int64_t before = collector_.records();
    RETURN_IF_ERROR(ReadTokenSource(
        {.path = path, .vocab_size = vocab, .max_records = source.max_records}, &collector_));
    lines_.push_back(StrCat(source.source, ": ", collector_.records() - before,
                            " samples that were tokenised elsewhere; ids are below ", vocab));
    if (request_.progress) request_.progress(collector_.records());
    return absl::OkStatus();
  }

  StatusOr<PreparedReport> Finish() {
    PreparedReport report{.samples = collector_.samples(),
                          .tokens = collector_.tokens(),
                          .supervised_tokens = collector_.supervised(),
                          .truncated_samples = collector_.truncated(),
                          .dropped_samples = collector_.dropped_samples(),
                          .longest_sample = collector_.longest(),
                          .lines = std::move(lines_)};
    data::TokenCacheWriter writer;
    report.holdout_samples = collector_.Drain(request_.spec.holdout, request_.spec.train.seed, &writer);
    report.lines.push_back(StrCat(report.samples, " samples (", report.holdout_samples, " held out), ", report.tokens,
                                  " tokens of which ", report.supervised_tokens, " carry loss; the longest sample has ",
                                  report.longest_sample, "; ", report.truncated_samples, " were cut to ",
                                  request_.spec.train.max_length));
    if (request_.cache_dir.empty()) return report;
    ASSIGN_OR_RETURN(report.cache_digest, writer.Write(request_.cache_dir));
    report.cache_path = request_.cache_dir / (report.cache_digest + ".ftt");
    return report;
  }

  const PrepareRequest& request_;
  Collector collector_;
  std::vector<std::string> lines_;
};

}  // namespace

StatusOr<PreparedReport> Prepare(const PrepareRequest& request) { return Preparer(request).Run(); }

}  // namespace ft::prepare
