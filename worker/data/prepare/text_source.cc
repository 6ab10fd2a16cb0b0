#include "worker/data/prepare/text_source.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "core/base/check.h"
#include "core/base/counted.h"
#include "worker/data/chat/chat_template.h"
#include "worker/data/chat/mapping.h"
#include "worker/data/jinja/jinja_text.h"
#include "worker/data/prepare/moss_records.h"
#include "worker/data/prepare/ordered_batches.h"
#include "worker/data/prepare/sample_checks.h"
#include "worker/data/readers/columns.h"
#include "worker/data/readers/record.h"

namespace ft::prepare {
namespace {

constexpr size_t kRecordsToGuessFrom = 20;
constexpr int64_t kProgressEvery = 1000;
// Read at a time, and worked on by all threads.
constexpr size_t kRecordsInBatch = 1024;
constexpr size_t kBytesInBatch = size_t{16} << 20;

class TextReader {
 public:
  TextReader(const TextSourceOptions& options, Collector* collector)
      : options_(options), collector_(collector) {}

  StatusOr<std::vector<std::string>> Run() {
    ASSIGN_OR_RETURN(reader_, data::OpenRecords(options_.path, {.sheet = options_.source.sheet,
                                                                .text_field = options_.source.column,
                                                                .documents = options_.source.documents}));
    std::vector<data::Record> batch;
    RETURN_IF_ERROR(Read(kRecordsToGuessFrom, SIZE_MAX, &batch));
    if (batch.empty()) return std::vector<std::string>();
    RETURN_IF_ERROR(Choose(batch));
    batch.resize(std::min(batch.size(), RoomLeft()));
    for (Status read; !batch.empty();) {
      RETURN_IF_ERROR(AddAll(batch));
      // What was read before a broken record is judged first, as if records were read one by one.
      RETURN_IF_ERROR(read);
      batch.clear();
      read = Read(std::min(kRecordsInBatch, RoomLeft()), kBytesInBatch, &batch);
      if (batch.empty()) RETURN_IF_ERROR(read);
    }
    return Sentences();
  }

 private:
  // Records that something was done to, for a sentence of the report.
  struct Noted {
    int64_t records = 0;
    std::string first;  // Place of the first.
  };
  static void Note(Noted* noted, const data::Origin& origin) {
    if (noted->records++ == 0) noted->first = data::Describe(origin);
  }

  // What a record became.
  struct Made {
    Status status;  // Names the place of the record.
    bool dropped = false, unfit = false, left_over = false, only_read = false;
    std::vector<Sample> samples;
    SampleFacts facts;  // Of each of them.
  };

  // Appends records until there are `most`, their texts have `bytes` together, or the source has no more.
  Status Read(size_t most, size_t bytes, std::vector<data::Record>* batch) {
    for (size_t read = 0; batch->size() < most && read < bytes;) {
      ASSIGN_OR_RETURN(std::optional<data::Record> record, reader_->Next());
      if (!record) break;
      if (options_.keeps && !options_.keeps(read_++)) continue;
      for (const data::Field& field : record->fields) read += field.text.size();
      batch->push_back(*std::move(record));
    }
    return absl::OkStatus();
  }

  size_t RoomLeft() const {
    if (options_.source.max_records <= 0) return SIZE_MAX;
    return static_cast<size_t>(std::max<int64_t>(0, options_.source.max_records - records_));
  }
  bool IsText() const { return mapping_ && mapping_->shape() == data::Shape::kText; }

  Status Choose(const std::vector<data::Record>& first) {
    if (options_.source.map && options_.source.map->kind == "moss_sft") return ChooseMoss();
    const data::MappingOptions mapping{
        .source = options_.source.source,
        .format = options_.source.format,
        .map = options_.source.map,
        .text_column = options_.source.column,
        .table = reader_->table(),
        .takes = data::ChatTemplate::Takes(options_.source.template_name, *options_.tokenizer),
        .xtuner_alpaca = options_.pieces,
        .drops_unfit = options_.xtuner};
    ASSIGN_OR_RETURN(mapping_, data::Mapping::Choose(mapping, first, reader_->columns()));
    RETURN_IF_ERROR(CheckLossOn(options_.source, /*conversations=*/!IsText()));
    if (IsText()) return absl::OkStatus();
    ASSIGN_OR_RETURN(render_, options_.open_render());
    return absl::OkStatus();
  }

  Status ChooseMoss() {
    RETURN_IF_ERROR(CheckLossOn(options_.source, /*conversations=*/false));
    const MossOptions options{.max_length = options_.max_length, .bot_name = options_.source.map->bot_name};
    ASSIGN_OR_RETURN(moss_, MossReader::Open(*options_.tokenizer, options));
    return absl::OkStatus();
  }

  Status Make(const data::Record& record, Made* made) const {
    if (moss_) return MakeMoss(record, made);
    return IsText() ? MakeText(record, made) : MakeConversation(record, made);
  }

  // Makes samples of the records on all threads, then adds them in order: the result is that of one thread, which also
  // stops at the first record that cannot be used.
  Status AddAll(const std::vector<data::Record>& batch) {
    std::vector<Made> made(batch.size());
    ForEachIndex(batch.size(), threads_, [&](size_t i) {
      Status status = Make(batch[i], &made[i]);
      made[i].status = std::move(status);
    });
    for (size_t i = 0; i < batch.size(); ++i) RETURN_IF_ERROR(Add(batch[i].origin, std::move(made[i])));
    return absl::OkStatus();
  }

  Status Add(const data::Origin& origin, Made made) {
    ++records_;
    collector_->BeginRecord(origin);
    if (options_.progress && collector_->records() % kProgressEvery == 0)
      options_.progress(collector_->records());
    RETURN_IF_ERROR(made.status);
    if (made.dropped) collector_->DropRecord();
    if (made.unfit) Note(&unfit_, origin);
    if (made.left_over) Note(&left_over_, origin);
    if (made.only_read) Note(&only_read_, origin);
    for (Sample& sample : made.samples) collector_->Add(std::move(sample), made.facts);
    return collector_->status();
  }

  Status MakeConversation(const data::Record& record, Made* made) const {
    ASSIGN_OR_RETURN(data::MappedRecord mapped, mapping_->Map(record));
    if (options_.source.loss_on == "last") LearnTheLastOnly(&mapped.turns);
    made->dropped = mapped.turns.empty();
    made->unfit = mapped.unfit;
    if (made->dropped) return absl::OkStatus();
    made->left_over = mapped.left_over;
    made->only_read = mapped.only_read > 0;
    made->facts = {.empty_input = mapped.empty_input,
                   .empty_tool_result = mapped.empty_tool_result,
                   .empty_output = mapped.empty_output};
    if (collector_->RefusesUnseen(made->facts)) {
      made->samples.emplace_back();
      return absl::OkStatus();
    }
    StatusOr<Sample> sample = render_(mapped.turns);
    if (!sample.ok()) return WithContext(sample.status(), data::Describe(record.origin));
    made->facts.doubled_bos = HasDoubledBos(*sample, *options_.tokenizer);
    made->facts.unsupervised_stop = HasUnsupervisedStop(*sample, *options_.tokenizer);
    made->samples.push_back(*std::move(sample));
    return absl::OkStatus();
  }

  Status MakeMoss(const data::Record& record, Made* made) const {
    StatusOr<Sample> sample = moss_->Read(record);
    made->unfit = !sample.ok() && options_.xtuner;
    made->dropped = made->unfit || (sample.ok() && sample->ids.empty());
    if (made->dropped) return absl::OkStatus();
    RETURN_IF_ERROR(sample.status());
    made->samples.push_back(*std::move(sample));
    return absl::OkStatus();
  }

  static void LearnTheLastOnly(data::Conversation* turns) {
    bool found = false;
    for (auto turn = turns->rbegin(); turn != turns->rend(); ++turn) {
      turn->loss = turn->loss && !found;
      found = found || turn->answered;
    }
  }

  Status MakeText(const data::Record& record, Made* made) const {
    ASSIGN_OR_RETURN(std::string text, mapping_->Text(record));
    if (options_.xtuner) text = std::string(data::jinja::StripLeft(data::jinja::StripRight(text)));
    if (data::Trimmed(text).empty()) {
      made->facts.empty_output = true;
      made->samples.emplace_back();
      return absl::OkStatus();
    }
    const tokenizer::Tokenizer& tokenizer = *options_.tokenizer;
    auto encoded = tokenizer.Encode(text, {.parse_special = options_.xtuner});
    if (!encoded.ok()) return WithContext(encoded.status(), data::Describe(record.origin));
    std::vector<int32_t> ids;
    ids.reserve(encoded->size() + 3);
    if (AddsBos()) ids = tokenizer.bos_ids();
    ids.insert(ids.end(), encoded->begin(), encoded->end());
    if (tokenizer.eos_id() >= 0) ids.push_back(tokenizer.eos_id());
    if (options_.xtuner) {
      Sample sample{std::move(ids), {}};
      sample.loss_mask.assign(sample.ids.size(), 1);
      std::fill_n(sample.loss_mask.begin(), AddsBos() ? tokenizer.bos_ids().size() : 0, uint8_t{0});
      made->samples.push_back(std::move(sample));
      return absl::OkStatus();
    }
    AddChunks(ids, &made->samples);
    return absl::OkStatus();
  }

  bool AddsBos() const {
    const tokenizer::Tokenizer& tokenizer = *options_.tokenizer;
    return tokenizer.bos_id() >= 0 && (options_.pieces || tokenizer.adds_bos());
  }

  void AddChunks(const std::vector<int32_t>& ids, std::vector<Sample>* samples) const {
    const auto length = static_cast<size_t>(options_.max_length);
    for (size_t begin = 0; begin < ids.size();) {
      size_t size = std::min(length, ids.size() - begin);
      // A last chunk of one token would teach nothing; give it a neighbour.
      if (ids.size() - begin - size == 1 && size > 2) --size;
      if (size == 1 && begin > 0) break;
      Sample sample;
      sample.ids.assign(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                        ids.begin() + static_cast<std::ptrdiff_t>(begin + size));
      sample.loss_mask.assign(size, 1);
      samples->push_back(std::move(sample));
      begin += size;
    }
  }

  std::vector<std::string> Sentences() const {
    std::vector<std::string> lines = {
        mapping_ ? mapping_->explanation()
                 : StrCat(options_.source.source,
                          ": meta_instruction and chat are the conversation, whose texts have their markup "
                          "already (as map: moss_sft says)")};
    for (const std::string& note : reader_->notes()) lines.push_back(note);
    if (unfit_.records > 0) {
      lines.push_back(StrCat(options_.source.source, ": ", Counted(unfit_.records, "record"),
                             unfit_.records == 1 ? " is none of " : " are none of ",
                             options_.source.map->kind,
                             "'s and left out, as XTuner does (first: ", unfit_.first, ")"));
    }
    if (left_over_.records > 0) {
      lines.push_back(
          StrCat(options_.source.source, ": ", Counted(left_over_.records, "record"),
                 left_over_.records == 1 ? " ends" : " end",
                 " with messages that nothing answers, which were left out (first: ", left_over_.first, ")"));
    }
    if (only_read_.records > 0) {
      lines.push_back(StrCat(
          options_.source.source, ": ", Counted(only_read_.records, "record"),
          only_read_.records == 1 ? " has" : " have",
          " answers that are read and not learnt, as the record says (first: ", only_read_.first, ")"));
    }
    if (options_.source.loss_on == "last" && !IsText()) {
      lines.push_back(
          StrCat(options_.source.source, ": of each conversation the last answer is learnt (loss_on: last)"));
    }
    if (IsText()) {
      lines.push_back(StrCat(options_.source.source, ": every document ",
                             AddsBos() ? "begins with BOS and " : "",
                             options_.tokenizer->eos_id() >= 0 ? "ends with EOS and " : "",
                             options_.xtuner ? "is cut to " : "is cut into chunks of at most ",
                             Counted(options_.max_length, "token")));
    }
    return lines;
  }

  const TextSourceOptions& options_;
  Collector* collector_;
  std::unique_ptr<data::RecordReader> reader_;
  std::optional<data::Mapping> mapping_;  // Nothing where moss_ reads the records.
  std::optional<MossReader> moss_;
  Render render_;
  const size_t threads_ = std::max(1U, std::thread::hardware_concurrency());
  int64_t records_ = 0;
  int64_t read_ = 0;  // With options_.keeps: records of the file, kept or not.
  Noted unfit_, left_over_, only_read_;
};

}  // namespace

Status CheckLossOn(const recipe::DataSource& source, bool conversations) {
  if (conversations || source.loss_on == "all") return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat(
      source.source, " holds no conversations, whose answers loss_on: chooses from; take loss_on: out"));
}

StatusOr<std::vector<std::string>> ReadTextSource(const TextSourceOptions& options, Collector* collector) {
  FT_CHECK(options.tokenizer != nullptr && options.max_length >= 2);
  return TextReader(options, collector).Run();
}

}  // namespace ft::prepare
