#include "core/records/records.h"

#include "finetune/worker/v1/records.pb.h"

namespace ft::records {
namespace {

namespace pb = finetune::worker::v1;

struct Encoder {
  pb::RankRecord& out;

  void operator()(const Plan& plan) {
    auto& p = *out.mutable_plan();
    p.set_total_steps(plan.total_steps);
    p.set_first_step(plan.first_step);
    p.set_parameters(plan.parameters);
    p.set_trainable_parameters(plan.trainable_parameters);
    p.set_numeric_fingerprint(plan.numeric_fingerprint);
  }
  void operator()(const Rendezvous& rendezvous) { out.mutable_rendezvous()->set_address(rendezvous.address); }
  void operator()(const Step& step) {
    auto& p = *out.mutable_step();
    p.set_step(step.step);
    p.set_loss(step.loss);
    p.set_learning_rate(step.learning_rate);
    p.set_gradient_norm(step.gradient_norm);
    p.set_supervised_tokens(step.supervised_tokens);
    p.set_tokens(step.tokens);
    p.set_samples_seen(step.samples_seen);
    p.set_epoch(step.epoch);
    p.set_seconds(step.seconds);
    p.mutable_phase_seconds()->insert(step.phase_seconds.begin(), step.phase_seconds.end());
    p.set_skipped(step.skipped);
    p.set_loss_scale(step.loss_scale);
    p.set_peak_memory_bytes(step.peak_memory_bytes);
  }
  void operator()(const Eval& eval) {
    auto& p = *out.mutable_eval();
    p.set_step(eval.step);
    p.set_name(eval.name);
    p.set_loss(eval.loss);
    p.set_supervised_tokens(eval.supervised_tokens);
  }
  void operator()(const Score& score) {
    auto& p = *out.mutable_score();
    p.set_step(score.step);
    p.set_name(score.name);
    p.set_questions(score.questions);
    p.set_average(score.average);
    p.mutable_categories()->insert(score.categories.begin(), score.categories.end());
    p.mutable_subcategories()->insert(score.subcategories.begin(), score.subcategories.end());
    p.mutable_subjects()->insert(score.subjects.begin(), score.subjects.end());
  }
  void operator()(const Beat& beat) {
    auto& p = *out.mutable_beat();
    p.set_count(beat.count);
    p.set_phase(beat.phase);
    p.set_bytes(beat.bytes);
    p.set_total_bytes(beat.total_bytes);
    p.set_wait_operation(beat.wait.operation);
    p.set_wait_sequence(beat.wait.sequence);
    if (beat.wait.rank >= 0) p.set_wait_rank(beat.wait.rank);
  }
  void operator()(const Checkpoint& checkpoint) {
    auto& p = *out.mutable_checkpoint();
    p.set_step(checkpoint.step);
    p.set_path(checkpoint.path);
    p.set_manifest_sha256(checkpoint.manifest_sha256);
    p.set_size_bytes(checkpoint.size_bytes);
  }
  void operator()(const Sample& sample) {
    auto& p = *out.mutable_sample();
    p.set_step(sample.step);
    p.set_prompt(sample.prompt);
    p.set_text(sample.text);
  }
  void operator()(const Note& note) {
    auto& p = *out.mutable_note();
    p.set_severity(note.severity);
    p.set_reason(note.reason);
    p.set_message(note.message);
  }
  void operator()(const Prepared& prepared) {
    auto& p = *out.mutable_prepared();
    p.set_cache_path(prepared.cache_path);
    p.set_cache_sha256(prepared.cache_sha256);
    p.set_samples(prepared.samples);
    p.set_tokens(prepared.tokens);
    p.set_supervised_tokens(prepared.supervised_tokens);
    p.set_truncated_samples(prepared.truncated_samples);
    p.set_holdout_samples(prepared.holdout_samples);
    p.set_longest_sample(prepared.longest_sample);
    for (const std::string& line : prepared.report) p.add_report(line);
  }
  void operator()(const Result& result) {
    auto& p = *out.mutable_result();
    p.set_state(static_cast<pb::ResultRecord::State>(result.state));
    p.set_failure_class(result.failure_class);
    p.set_message(result.message);
    p.set_step(result.step);
    p.set_adapter_path(result.adapter_path);
    p.set_adapter_sha256(result.adapter_sha256);
    p.set_ledger_sha256(result.ledger_sha256);
  }
};

Step DecodeStep(const pb::StepRecord& p) {
  return {.step = p.step(),
          .loss = p.loss(),
          .learning_rate = p.learning_rate(),
          .gradient_norm = p.gradient_norm(),
          .supervised_tokens = p.supervised_tokens(),
          .tokens = p.tokens(),
          .samples_seen = p.samples_seen(),
          .epoch = p.epoch(),
          .seconds = p.seconds(),
          .phase_seconds = {p.phase_seconds().begin(), p.phase_seconds().end()},
          .skipped = p.skipped(),
          .loss_scale = p.loss_scale(),
          .peak_memory_bytes = p.peak_memory_bytes()};
}

Score DecodeScore(const pb::ScoreRecord& p) {
  return {.step = p.step(),
          .name = p.name(),
          .questions = p.questions(),
          .average = p.average(),
          .categories = {p.categories().begin(), p.categories().end()},
          .subcategories = {p.subcategories().begin(), p.subcategories().end()},
          .subjects = {p.subjects().begin(), p.subjects().end()}};
}

Beat DecodeBeat(const pb::BeatRecord& p) {
  return {.count = p.count(),
          .phase = p.phase(),
          .bytes = p.bytes(),
          .total_bytes = p.total_bytes(),
          .wait = {.operation = p.wait_operation(),
                   .sequence = p.wait_sequence(),
                   .rank = p.has_wait_rank() ? p.wait_rank() : -1}};
}

Prepared DecodePrepared(const pb::PreparedRecord& p) {
  return {.cache_path = p.cache_path(),
          .cache_sha256 = p.cache_sha256(),
          .samples = p.samples(),
          .tokens = p.tokens(),
          .supervised_tokens = p.supervised_tokens(),
          .truncated_samples = p.truncated_samples(),
          .holdout_samples = p.holdout_samples(),
          .longest_sample = p.longest_sample(),
          .report = {p.report().begin(), p.report().end()}};
}

Result DecodeResult(const pb::ResultRecord& p) {
  return {.state = static_cast<ResultState>(p.state()),
          .failure_class = p.failure_class(),
          .message = p.message(),
          .step = p.step(),
          .adapter_path = p.adapter_path(),
          .adapter_sha256 = p.adapter_sha256(),
          .ledger_sha256 = p.ledger_sha256()};
}

}  // namespace

std::string Encode(const Record& record) {
  pb::RankRecord out;
  out.set_sequence(record.sequence);
  out.set_unix_nanos(record.unix_nanos);
  std::visit(Encoder{out}, record.body);
  return out.SerializeAsString();
}

StatusOr<Record> Decode(std::string_view bytes) {
  pb::RankRecord in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError("a record's bytes are not a RankRecord");
  }
  Record record{.sequence = in.sequence(), .unix_nanos = in.unix_nanos()};
  switch (in.kind_case()) {
    case pb::RankRecord::kStep: record.body = DecodeStep(in.step()); break;
    case pb::RankRecord::kEval:
      record.body = Eval{in.eval().step(), in.eval().name(), in.eval().loss(), in.eval().supervised_tokens()};
      break;
    case pb::RankRecord::kBeat: record.body = DecodeBeat(in.beat()); break;
    case pb::RankRecord::kCheckpoint:
      record.body = Checkpoint{in.checkpoint().step(), in.checkpoint().path(),
                               in.checkpoint().manifest_sha256(), in.checkpoint().size_bytes()};
      break;
    case pb::RankRecord::kSample:
      record.body = Sample{in.sample().step(), in.sample().prompt(), in.sample().text()};
      break;
    case pb::RankRecord::kNote:
      record.body = Note{in.note().severity(), in.note().reason(), in.note().message()};
      break;
    case pb::RankRecord::kPrepared: record.body = DecodePrepared(in.prepared()); break;
    case pb::RankRecord::kResult: record.body = DecodeResult(in.result()); break;
    case pb::RankRecord::kPlan:
      record.body = Plan{in.plan().total_steps(), in.plan().first_step(), in.plan().parameters(),
                         in.plan().trainable_parameters(), in.plan().numeric_fingerprint()};
      break;
    case pb::RankRecord::kScore: record.body = DecodeScore(in.score()); break;
    case pb::RankRecord::kRendezvous: record.body = Rendezvous{in.rendezvous().address()}; break;
    case pb::RankRecord::KIND_NOT_SET: return absl::DataLossError("a record has no body this version knows");
  }
  return record;
}

}  // namespace ft::records
