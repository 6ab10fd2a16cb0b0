#include "worker/data/prepare/prepare.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include "core/base/counted.h"
#include "worker/data/cache/batch_sampler.h"
#include "worker/data/cache/token_cache.h"
#include "worker/data/prepare/collector.h"
#include "worker/data/prepare/model_files.h"
#include "worker/data/prepare/preview.h"
#include "worker/data/prepare/rendering.h"
#include "worker/data/prepare/source_files.h"
#include "worker/data/prepare/text_source.h"
#include "worker/data/prepare/token_source.h"
#include "worker/data/readers/record.h"

namespace ft::prepare {
namespace {

class Preparer {
 public:
  explicit Preparer(const PrepareRequest& request)
      : request_(request), collector_(request.spec.gate, request.spec.train.max_length, request.cache_dir) {
    const recipe::TrainSpec& train = request.spec.train;
    if (IsXtuner()) collector_.UseXtunerHabits({.packs = train.packing, .shuffles = train.shuffle});
  }

  StatusOr<PreparedReport> Run() {
    if (request_.spec.data.empty())
      return absl::InvalidArgumentError("data: names no source; give at least one file");
    for (size_t i = 0; i < request_.spec.data.size(); ++i) RETURN_IF_ERROR(AddSource(i));
    if (collector_.records() == 0) {
      return absl::InvalidArgumentError(
          StrCat(request_.spec.data[0].source, " holds no records; give a file with at least one"));
    }
    RETURN_IF_ERROR(collector_.Verdict());
    if (collector_.samples() == 0) {
      return absl::InvalidArgumentError(StrCat("no sample of ", Counted(collector_.records(), "record"),
                                               " is left to train on; ",
                                               collector_.dropped_samples() + collector_.dropped_records(),
                                               " dropped, with nothing that carries loss"));
    }
    return Finish();
  }

 private:
  bool IsXtuner() const { return request_.spec.compat != "none"; }
  StatusOr<int64_t> Vocab() const {
    if (request_.vocab_size > 0) return request_.vocab_size;
    return VocabSizeOf(request_.model);
  }

  StatusOr<std::vector<std::filesystem::path>> FilesOf(size_t index) {
    if (index < request_.files.size() && !request_.files[index].empty()) return request_.files[index];
    ASSIGN_OR_RETURN(SourceFiles found, FilesOfSource(request_.spec.data[index], request_.roots));
    if (!found.sentence.empty()) lines_.push_back(found.sentence);
    return std::move(found.files);
  }

  // The files of a source are one after the other what one file would be.
  Status AddSource(size_t index) {
    recipe::DataSource source = request_.spec.data[index];
    const int64_t most = source.max_records, before = collector_.records();
    ASSIGN_OR_RETURN(const std::vector<std::filesystem::path> files, FilesOf(index));
    collector_.BeginSource({.packs = !source.map || source.map->kind != "moss_sft", .weight = source.weight});
    if (source.choose == "random") return AddChosen(index, files);
    for (const std::filesystem::path& path : files) {
      const int64_t read = collector_.records() - before;
      if (most > 0 && read >= most) break;
      source.max_records = most > 0 ? most - read : 0;
      ASSIGN_OR_RETURN(const bool tokens, HoldsTokens(source, path));
      RETURN_IF_ERROR(tokens ? AddTokens(source, path) : AddText(source, path));
    }
    if (collector_.records() == before) return HoldsNothing(source);
    AddWeightLine(source, collector_.records() - before);
    if (request_.progress) request_.progress(collector_.records());
    return absl::OkStatus();
  }

  void AddWeightLine(const recipe::DataSource& source, int64_t records) {
    if (source.weight == 1) return;
    const auto times = static_cast<int64_t>(std::llround(source.weight * static_cast<double>(records)));
    lines_.push_back(StrCat(source.source, ": weight ", source.weight, ": an epoch holds its ",
                            Counted(records, "record"), " ", std::max<int64_t>(times, 1),
                            " times in all, chosen by train.seed"));
  }

  static Status HoldsNothing(const recipe::DataSource& source) {
    return absl::InvalidArgumentError(
        StrCat(source.source, " holds no records; give a file with at least one"));
  }

  // max_records of all records of the source, in the order in which they stand there. All are counted first; a permutation by the
  // seed then says of each whether it is among them.
  Status AddChosen(size_t index, const std::vector<std::filesystem::path>& files) {
    recipe::DataSource source = request_.spec.data[index];
    const int64_t most = std::exchange(source.max_records, 0);
    std::vector<int64_t> counts;
    for (const std::filesystem::path& path : files) {
      ASSIGN_OR_RETURN(const bool tokens, HoldsTokens(source, path));
      if (tokens) {
        return absl::InvalidArgumentError(
            StrCat(source.source,
                   " holds samples that were tokenised elsewhere, of which choose: random takes none; "
                   "use choose: first"));
      }
      ASSIGN_OR_RETURN(const int64_t records, CountRecords(source, path));
      counts.push_back(records);
    }
    const int64_t all = std::accumulate(counts.begin(), counts.end(), int64_t{0});
    if (all == 0) return HoldsNothing(source);
    // Apart from the epochs of training, whose permutations follow from the same seed.
    const int64_t stream = (int64_t{1} << 40) + static_cast<int64_t>(index);
    int64_t before = 0;
    for (size_t i = 0; i < files.size(); ++i) {
      RETURN_IF_ERROR(AddText(source, files[i], [&, before](int64_t at) {
        return data::PermutedIndex(request_.spec.train.seed, stream, before + at, all) < most;
      }));
      before += counts[i];
    }
    lines_.push_back(StrCat(source.source, ": ", std::min(most, all), " of ", Counted(all, "record"),
                            " chosen at random, by train.seed"));
    AddWeightLine(source, std::min(most, all));
    if (request_.progress) request_.progress(collector_.records());
    return absl::OkStatus();
  }

  StatusOr<int64_t> CountRecords(const recipe::DataSource& source, const std::filesystem::path& path) const {
    ASSIGN_OR_RETURN(const auto reader, data::OpenRecords(path, {.sheet = source.sheet,
                                                                 .text_field = source.column,
                                                                 .documents = source.documents}));
    int64_t records = 0;
    while (true) {
      ASSIGN_OR_RETURN(const auto record, reader->Next());
      if (!record) return records;
      ++records;
    }
  }

  // By the job file, or, where that says auto, because the first record has input_ids.
  StatusOr<bool> HoldsTokens(const recipe::DataSource& source, const std::filesystem::path& path) const {
    if (source.format != "auto" || source.map) return source.format == "tokens";
    const std::string extension = path.extension().string();
    if (extension != ".json" && extension != ".jsonl" && extension != ".parquet") return false;
    ASSIGN_OR_RETURN(const auto reader, data::OpenRecords(path, {}));
    ASSIGN_OR_RETURN(const std::optional<data::Record> first, reader->Next());
    return first && first->Find("input_ids") != nullptr;
  }

  Status AddTokens(const recipe::DataSource& source, const std::filesystem::path& path) {
    RETURN_IF_ERROR(CheckLossOn(source, /*conversations=*/false));
    ASSIGN_OR_RETURN(const int64_t vocab, Vocab());
    const int64_t before = collector_.records();
    const TokenSourceOptions options{.path = path, .vocab_size = vocab, .max_records = source.max_records};
    RETURN_IF_ERROR(ReadTokenSource(options, &collector_));
    lines_.push_back(StrCat(source.source, ": ", Counted(collector_.records() - before, "sample"),
                            " tokenised elsewhere; ids are below ", vocab));
    return absl::OkStatus();
  }

  Status AddText(const recipe::DataSource& source, const std::filesystem::path& path,
                 std::function<bool(int64_t index)> keeps = nullptr) {
    RETURN_IF_ERROR(OpenTokenizerOnce());
    const recipe::TrainSpec& train = request_.spec.train;
    TextSourceOptions options{.path = path,
                              .source = source,
                              .max_length = train.max_length,
                              .pieces = train.tokenize == "pieces",
                              .xtuner = IsXtuner(),
                              .tokenizer = tokenizer_.get(),
                              .progress = request_.progress,
                              .keeps = std::move(keeps)};
    options.open_render = [&] {
      return OpenRender(*tokenizer_, {source.template_name, train.tokenize, request_.date});
    };
    ASSIGN_OR_RETURN(const std::vector<std::string> lines, ReadTextSource(options, &collector_));
    lines_.insert(lines_.end(), lines.begin(), lines.end());
    return absl::OkStatus();
  }

  Status OpenTokenizerOnce() {
    if (tokenizer_ != nullptr) return absl::OkStatus();
    ASSIGN_OR_RETURN(tokenizer_, OpenModelTokenizer(request_.model, request_.spec.model.eos_token));
    return absl::OkStatus();
  }

  void AddPreviews(std::vector<std::string>* lines) const {
    if (tokenizer_ == nullptr) return;  // Only ids were given; there is nothing to spell them with.
    int number = 0;
    for (const Shown& shown : collector_.shown()) {
      const data::TokenSample sample{shown.sample.ids, shown.sample.loss_mask};
      lines->push_back(
          StrCat("Sample ", ++number, ", ", shown.place, ": ",
                 Counted(static_cast<int64_t>(sample.ids.size()), "token"), ", ",
                 data::SupervisedTokens(sample), data::SupervisedTokens(sample) == 1 ? " carries" : " carry",
                 " loss (between ⟦ and ⟧)\n", RenderSample(*tokenizer_, sample, PreviewOptions())));
    }
  }

  std::string CountsSentence(const PreparedReport& report) const {
    std::string text = StrCat(Counted(report.samples, "sample"), " (", report.holdout_samples, " held out), ",
                              Counted(report.tokens, "token"), " of which ", report.supervised_tokens,
                              report.supervised_tokens == 1 ? " carries" : " carry",
                              " loss; the longest sample has ", Counted(report.longest_sample, "token"));
    const auto were = [](int64_t number) { return number == 1 ? " was " : " were "; };
    if (report.truncated_samples > 0) {
      StrAppend(&text, "; ", report.truncated_samples, were(report.truncated_samples), "cut to ",
                request_.spec.train.max_length);
    }
    if (report.dropped_samples > 0)
      StrAppend(&text, "; ", report.dropped_samples, " without loss", were(report.dropped_samples),
                "dropped");
    if (collector_.dropped_records() > 0) {
      StrAppend(&text, "; ", Counted(collector_.dropped_records(), "record"), " without an answer",
                were(collector_.dropped_records()), "left out");
    }
    return text;
  }

  // Samples that are longer than the model's positions: it has never seen such distances, or has no row for them.
  Status WarnOfContext(PreparedReport* report) const {
    if (request_.model.empty()) return absl::OkStatus();
    const StatusOr<Context> found = ContextOf(request_.model);
    if (absl::IsNotFound(found.status())) return absl::OkStatus();  // Token samples need no model.
    ASSIGN_OR_RETURN(const Context limits, found);
    const int64_t context = limits.positions;
    const int64_t longer = context == 0 ? 0 : collector_.CountLonger(context);
    if (longer == 0) return absl::OkStatus();
    if (limits.table) {
      return absl::InvalidArgumentError(
          StrCat(Counted(longer, "sample"), " of ", report->samples, longer == 1 ? " is" : " are",
                 " longer than this model's table of ", Counted(context, "position"),
                 " (n_positions), the longest has ", Counted(report->longest_sample, "token"),
                 ": write train: {max_length: ", context, "}, or split the long records"));
    }
    report->warnings.push_back(
        StrCat("Warning: ", Counted(longer, "sample"), " of ", report->samples, longer == 1 ? " is" : " are",
               " longer than the ", Counted(context, "position"),
               " that the model was made for (max_position_embeddings), the longest has ",
               Counted(report->longest_sample, "token"),
               "; beyond them it answers badly: write train: {max_length: ", context,
               "}, or split the long records"));
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
    RETURN_IF_ERROR(WarnOfContext(&report));
    data::TokenCacheWriter writer;
    ASSIGN_OR_RETURN(report.holdout_samples,
                     collector_.Drain(request_.spec.holdout, request_.spec.train.seed, &writer));
    if (IsXtuner() && request_.spec.train.packing) {
      report.lines.push_back(
          StrCat(Counted(report.samples, "sample"), " became ", Counted(collector_.samples(), "row"),
                 " of at most ", Counted(request_.spec.train.max_length, "token"),
                 ", cut anywhere, in which samples see each other, as XTuner packs; ",
                 Counted(collector_.left_tokens(), "token"), " at the ends of sources left out"));
    }
    report.samples = collector_.samples();
    report.tokens = collector_.tokens();
    report.supervised_tokens = collector_.supervised();
    report.longest_sample = collector_.longest();
    report.train_lengths = writer.TrainLengths();
    report.lines.push_back(CountsSentence(report));
    report.lines.insert(report.lines.end(), report.warnings.begin(), report.warnings.end());
    AddPreviews(&report.lines);
    if (request_.cache_dir.empty()) return report;
    ASSIGN_OR_RETURN(report.cache_digest, writer.Write(request_.cache_dir));
    report.cache_path = request_.cache_dir / (report.cache_digest + ".ftt");
    return report;
  }

  const PrepareRequest& request_;
  Collector collector_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;  // Opened when a source needs it.
  std::vector<std::string> lines_;
};

}  // namespace

StatusOr<PreparedReport> Prepare(const PrepareRequest& request) { return Preparer(request).Run(); }

}  // namespace ft::prepare
