#include "client/stored/stored_job.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "core/recipe/json.h"
#include "core/records/record_file.h"
#include "core/series/evaluations.h"
#include "core/series/series.h"

namespace ft::client {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFramesAtOnce = 65536;
constexpr size_t kMostPoints = 1'000'000;

google::protobuf::Timestamp TimeOfNanos(int64_t nanos) {
  google::protobuf::Timestamp time;
  time.set_seconds(nanos / 1'000'000'000);
  time.set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  return time;
}

// Ids begin with their job's time of creation: j, then milliseconds as 11 hexadecimal digits.
std::optional<int64_t> CreationMillis(std::string_view id) {
  constexpr size_t kDigits = 11;
  if (id.size() <= kDigits || id[0] != 'j') return std::nullopt;
  int64_t millis = 0;
  const char* const end = id.data() + 1 + kDigits;
  const auto [stopped, error] = std::from_chars(id.data() + 1, end, millis, 16);
  return error == std::errc() && stopped == end ? std::optional(millis) : std::nullopt;
}

// The rank of an attempt that speaks for it here: the first of those that ran on this machine.
fs::path SpeakerOf(const fs::path& attempt) {
  std::vector<fs::path> ranks;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(attempt, error)) {
    if (entry.path().filename().string().starts_with("rank")) ranks.push_back(entry.path());
  }
  std::sort(ranks.begin(), ranks.end(), [](const fs::path& a, const fs::path& b) {
    return std::make_pair(a.string().size(), a) < std::make_pair(b.string().size(), b);
  });
  return ranks.empty() ? attempt / "rank0" : ranks.front();
}

// Fills a job from the records of its attempts, in their order.
class JobReader {
 public:
  JobReader(const fs::path& run_dir, v1::Job& job) : run_dir_(run_dir), job_(job) {}

  void Read(const Attempt& attempt) {
    trains_ = attempt.kind == "TRAIN";
    job_.clear_state();
    job_.clear_failure();
    job_.clear_end_time();
    job_.set_state_message("it had not ended when its coordinator stopped");
    records::FrameReader reader(SpeakerOf(attempt.dir) / "records.ftr");
    while (true) {
      const StatusOr<std::vector<std::string>> frames = reader.Next(kFramesAtOnce);
      if (!frames.ok() || frames->empty()) return;
      for (const std::string& frame : *frames) {
        const StatusOr<records::Record> record = records::Decode(frame);
        if (!record.ok()) return;
        nanos_ = record->unix_nanos;
        if (trains_ && !job_.has_start_time()) *job_.mutable_start_time() = TimeOfNanos(nanos_);
        std::visit(*this, record->body);
      }
    }
  }

  void operator()(const records::Plan& plan) { job_.mutable_progress()->set_total_steps(plan.total_steps); }
  void operator()(const records::Step& step) {
    v1::JobProgress& progress = *job_.mutable_progress();
    progress.set_step(step.step);
    progress.set_loss(step.loss);
    progress.set_learning_rate(step.learning_rate);
    progress.set_phase("train");
    if (step.seconds > 0) progress.set_tokens_per_second(static_cast<double>(step.tokens) / step.seconds);
  }
  void operator()(const records::Eval& eval) {
    series::NoteLoss(eval.name, eval.step, eval.loss, eval.supervised_tokens, *job_.mutable_progress());
  }
  void operator()(const records::Checkpoint& checkpoint) {
    std::error_code error;
    if (fs::exists(run_dir_ / checkpoint.path, error)) {
      job_.mutable_progress()->set_checkpoint_step(checkpoint.step);
    }
  }
  void operator()(const records::Beat& beat) {
    v1::JobProgress& progress = *job_.mutable_progress();
    progress.set_phase(beat.phase);
    progress.set_phase_bytes(beat.total_bytes > 0 ? beat.bytes : 0);
    progress.set_phase_total_bytes(beat.total_bytes);
  }
  void operator()(const records::Prepared& prepared) {
    v1::PreparedData& data = *job_.mutable_prepared();
    data.Clear();
    data.set_cache_sha256(prepared.cache_sha256);
    data.set_samples(prepared.samples);
    data.set_tokens(prepared.tokens);
    data.set_supervised_tokens(prepared.supervised_tokens);
    data.set_truncated_samples(prepared.truncated_samples);
    data.set_holdout_samples(prepared.holdout_samples);
    for (const std::string& line : prepared.report) data.add_report(line);
  }
  void operator()(const records::Result& result) {
    if (result.state == records::ResultState::kFailed) return Fail(result);
    if (result.state == records::ResultState::kStopped) {
      job_.set_state_message(StrCat("stopped after step ", result.step, " as asked"));
    } else if (!trains_) {
      job_.set_state_message("data prepared");
    } else {
      job_.set_state(v1::SUCCEEDED);
      job_.set_state_message(StrCat("finished after step ", result.step));
      *job_.mutable_end_time() = TimeOfNanos(nanos_);
      job_.mutable_result()->set_adapter_dir((run_dir_ / result.adapter_path).string());
      job_.mutable_result()->set_adapter_sha256(result.adapter_sha256);
      job_.mutable_result()->set_ledger_sha256(result.ledger_sha256);
    }
  }
  void operator()(const records::Sample&) {}
  void operator()(const records::Score& score) {
    series::NoteScore(score.name, score.step, score.average, score.questions, *job_.mutable_progress());
  }
  void operator()(const records::Note&) {}
  void operator()(const records::Rendezvous&) {}

 private:
  void Fail(const records::Result& result) {
    v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;
    v1::FailureClass_Parse(result.failure_class, &failure_class);
    job_.set_state(v1::FAILED);
    job_.set_state_message(result.message);
    job_.mutable_failure()->set_failure_class(failure_class);
    job_.mutable_failure()->set_message(result.message);
    *job_.mutable_end_time() = TimeOfNanos(nanos_);
  }

  const fs::path& run_dir_;
  v1::Job& job_;
  bool trains_ = false;
  int64_t nanos_ = 0;
};

void FillFromSpec(const std::string& spec_json, v1::Job& job) {
  const StatusOr<recipe::JobSpec> parsed = recipe::FromJson(spec_json);
  if (!parsed.ok()) return;
  job.set_resolved_config_json(recipe::ToJson(*parsed));
  for (const auto& [key, value] : parsed->labels) (*job.mutable_labels())[key] = value;
}

// The whole records of rank 0 of every attempt: the worker's own, and the coordinator's where it ran
// elsewhere.
std::map<int64_t, fs::path> RecordsOf(const Session& session, const RunFolder& run) {
  std::map<int64_t, fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(PrivateSpool(session, run), error)) {
    const std::string name = entry.path().filename().string();
    int64_t epoch = 0;
    if (name.starts_with('e') && absl::SimpleAtoi(name.substr(1), &epoch)) {
      files[epoch] = entry.path() / "rank0" / "records.ftr";
    }
  }
  for (const Attempt& attempt : AttemptsOf(run.run_dir)) {
    const fs::path own = attempt.dir / "rank0" / "records.ftr";
    if (fs::exists(own, error)) files[attempt.epoch] = own;
  }
  return files;
}

}  // namespace

bool FilesMayAnswer(const Session& session, const Status& why) {
  return absl::IsUnavailable(why) && session.server.empty();
}

StatusOr<RunFolder> StoredRun(const Session& session, const std::string& name, const Status& why) {
  const std::string id = name.substr(name.starts_with("namespaces/") ? name.rfind('/') + 1 : 0);
  for (RunFolder& run : AllRuns(session)) {
    if (run.name == id || run.run_dir.filename() == id) return std::move(run);
  }
  return Status(why.code(), StrCat("no job called '", name, "' has files in ", PrivateRuns(session).string(),
                                   ", and ", why.message()));
}

v1::Job StoredJob(const RunFolder& run, bool full) {
  v1::Job job;
  const std::string id = run.run_dir.filename().string();
  job.set_name(StrCat("namespaces/default/jobs/", id));
  if (run.name != id) job.set_display_name(run.name);
  job.set_run_dir(run.run_dir.string());
  if (const auto millis = CreationMillis(id)) *job.mutable_create_time() = TimeOfNanos(*millis * 1'000'000);
  JobReader reader(run.run_dir, job);
  const std::vector<Attempt> attempts = AttemptsOf(run.run_dir);
  for (auto attempt = attempts.rbegin(); attempt != attempts.rend(); ++attempt) reader.Read(*attempt);
  if (!attempts.empty()) FillFromSpec(attempts.front().spec_json, job);
  if (!attempts.empty()) job.set_epoch(attempts.front().epoch);
  if (!full) {
    job.clear_resolved_config_json();
    job.mutable_prepared()->clear_report();
  }
  return job;
}

StatusOr<std::vector<v1::MetricPoint>> StoredSeries(const Session& session, const RunFolder& run) {
  series::Series all;
  for (const auto& [epoch, path] : RecordsOf(session, run)) {
    uint64_t offset = 0;
    for (uint64_t before = UINT64_MAX; offset != before;) {
      before = offset;
      ASSIGN_OR_RETURN(std::vector<v1::MetricPoint> points,
                       series::NextPoints(path, epoch, &offset, kFramesAtOnce));
      for (v1::MetricPoint& point : points) all.Add(std::move(point));
      if (all.points().size() > kMostPoints) {
        return absl::OutOfRangeError(StrCat(path.string(), " holds more than ", kMostPoints, " points"));
      }
    }
  }
  return all.Take();
}

}  // namespace ft::client
