#include "worker/rank/perplexity.h"

#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>
#include <utility>

#include "core/base/file.h"
#include "worker/data/prepare/held_out_file.h"
#include "worker/data/prepare/model_files.h"
#include "worker/data/prepare/prepare.h"
#include "worker/rank/attempt.h"
#include "worker/train/trainer/batch.h"

namespace ft::rank {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kUsualLength = 2048;

// A folder that goes with the object.
class Folder {
 public:
  static StatusOr<Folder> Make() {
    std::error_code error;
    std::string path = (fs::temp_directory_path(error) / "ft-eval-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) return ErrnoStatus("create", path, errno);
    return Folder(path);
  }
  Folder(Folder&& other) noexcept : path_(std::exchange(other.path_, fs::path())) {}
  Folder& operator=(Folder&&) = delete;
  ~Folder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  explicit Folder(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

struct Job {
  recipe::JobSpec spec;
  int64_t date = 0;  // Templates write it.
};

// The job that trained the model as far as it is known, without what options change.
StatusOr<Job> JobOf(const Trained& trained, const HeldOutOptions& options) {
  if (!options.attempt.empty() && fs::exists(options.attempt / "job.json")) {
    ASSIGN_OR_RETURN(const Attempt attempt, ReadAttempt(options.attempt));
    return Job{attempt.spec, attempt.run.job_created};
  }
  recipe::JobSpec job;
  job.data = {recipe::DataSource{.template_name = trained.text.template_name}};
  job.train.tokenize = trained.text.tokenize;
  job.model.eos_token = trained.text.eos_token;
  ASSIGN_OR_RETURN(const prepare::Context context, prepare::ContextOf(trained.model));
  job.train.max_length = context.positions > 0 ? std::min(context.positions, kUsualLength) : kUsualLength;
  return Job{std::move(job), static_cast<int64_t>(std::time(nullptr))};
}

}  // namespace

StatusOr<HeldOutText> ReadHeldOut(const std::string& file, const Trained& trained,
                                  const HeldOutOptions& options) {
  ASSIGN_OR_RETURN(const Job of_training, JobOf(trained, options));
  recipe::JobSpec job = of_training.spec;
  if (!options.template_name.empty()) job.data.at(0).template_name = options.template_name;
  if (options.max_tokens > 0) job.train.max_length = options.max_tokens;
  std::error_code error;
  const fs::path path = fs::absolute(file, error);
  ASSIGN_OR_RETURN(const Folder folder, Folder::Make());
  const prepare::PrepareRequest request{.spec = prepare::JobOfFile(job, path.lexically_normal().string()),
                                        .model = trained.model,
                                        .roots = {.allowed = {"/"}},
                                        .date = of_training.date,
                                        .cache_dir = folder.path()};
  ASSIGN_OR_RETURN(const prepare::PreparedReport report, prepare::Prepare(request));
  ASSIGN_OR_RETURN(data::TokenCache samples, data::TokenCache::Open(report.cache_path, /*verify=*/false));
  return HeldOutText{file, std::move(samples), report.truncated_samples};
}

StatusOr<records::Eval> MeanLoss(const run::LanguageModel& model, const data::TokenCache& samples,
                                 const std::function<void()>& done) {
  RETURN_IF_ERROR(train::CheckTokens(samples, model.config().vocabulary));
  records::Eval eval;
  for (int64_t i = 0; i < samples.samples(); ++i) {
    const std::vector<data::OrderedSample> sample = {{i, static_cast<uint64_t>(i)}};
    const int64_t counted = train::SupervisedTokens(samples, sample);
    eval.supervised_tokens += counted;
    if (counted > 0) eval.loss += model.Loss(train::MakeMicroBatch(samples, sample, /*seed=*/0, /*step=*/0));
    if (done) done();
  }
  if (eval.supervised_tokens == 0) return absl::InvalidArgumentError("no token of the samples counts");
  eval.loss /= static_cast<double>(eval.supervised_tokens);
  return eval;
}

}  // namespace ft::rank
