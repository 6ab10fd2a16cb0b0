#include "worker/data/prepare/text_source.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "core/base/check.h"
#include "core/base/counted.h"
#include "worker/data/chat/mapping.h"
#include "worker/data/prepare/sample_checks.h"
#include "worker/data/readers/columns.h"
#include "worker/data/readers/record.h"

namespace ft::prepare {
namespace {

constexpr size_t kRecordsToGuessFrom = 20;
constexpr int64_t kProgressEvery = 1000;

class TextReader {
 public:
  TextReader(const TextSourceOptions& options, Collector* collector)
      : options_(options), collector_(collector) {}

  StatusOr<std::vector<std::string>> Run() {
    ASSIGN_OR_RETURN(reader_, data::OpenRecords(options_.path, {.sheet = options_.source.sheet,
                                                                .text_field = options_.source.column,
                                                                .documents = options_.source.documents}));
    std::vector<data::Record> first;
    while (first.size() < kRecordsToGuessFrom) {
      ASSIGN_OR_RETURN(std::optional<data::Record> record, reader_->Next());
      if (!record) break;
      first.push_back(*std::move(record));
    }
    if (first.empty()) return std::vector<std::string>();
    RETURN_IF_ERROR(Choose(first));
    for (const data::Record& record : first) RETURN_IF_ERROR(Add(record));
    while (!Full()) {
      ASSIGN_OR_RETURN(const std::optional<data::Record> record, reader_->Next());
      if (!record) break;
      RETURN_IF_ERROR(Add(*record));
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

  bool Full() const { return options_.source.max_records > 0 && records_ >= options_.source.max_records; }
  bool IsText() const { return mapping_->shape() == data::Shape::kText; }

  Status Choose(const std::vector<data::Record>& first) {
    const data::MappingOptions mapping{.source = options_.source.source,
                                       .format = options_.source.format,
                                       .map = options_.source.map,
                                       .text_column = options_.source.column,
                                       .table = reader_->table(),
                                       .xtuner_alpaca = options_.pieces};
    ASSIGN_OR_RETURN(mapping_, data::Mapping::Choose(mapping, first, reader_->columns()));
    if (IsText()) return absl::OkStatus();
    ASSIGN_OR_RETURN(render_, options_.open_render());
    return absl::OkStatus();
  }

  Status Add(const data::Record& record) {
    if (Full()) return absl::OkStatus();
    ++records_;
    collector_->BeginRecord(record.origin);
    if (options_.progress && collector_->records() % kProgressEvery == 0)
      options_.progress(collector_->records());
    return IsText() ? AddText(record) : AddConversation(record);
  }

  Status AddConversation(const data::Record& record) {
    ASSIGN_OR_RETURN(const data::MappedRecord mapped, mapping_->Map(record));
    if (mapped.turns.empty()) {
      collector_->DropRecord();
      return absl::OkStatus();
    }
    if (mapped.left_over) Note(&left_over_, record.origin);
    if (mapped.only_read > 0) Note(&only_read_, record.origin);
    SampleFacts facts{.empty_input = mapped.empty_input,
                      .empty_tool_result = mapped.empty_tool_result,
                      .empty_output = mapped.empty_output};
    if (collector_->RefusesUnseen(facts)) {
      collector_->Add(Sample(), facts);
      return absl::OkStatus();
    }
    StatusOr<Sample> sample = render_(mapped.turns);
    if (!sample.ok()) return WithContext(sample.status(), data::Describe(record.origin));
    facts.doubled_bos = HasDoubledBos(*sample, *options_.tokenizer);
    facts.unsupervised_stop = HasUnsupervisedStop(*sample, *options_.tokenizer);
    collector_->Add(*std::move(sample), facts);
    return absl::OkStatus();
  }

  Status AddText(const data::Record& record) {
    ASSIGN_OR_RETURN(const std::string text, mapping_->Text(record));
    if (data::Trimmed(text).empty()) {
      collector_->Add(Sample(), SampleFacts{.empty_output = true});
      return absl::OkStatus();
    }
    const tokenizer::Tokenizer& tokenizer = *options_.tokenizer;
    auto encoded = tokenizer.Encode(text, {.parse_special = false});
    if (!encoded.ok()) return WithContext(encoded.status(), data::Describe(record.origin));
    std::vector<int32_t> ids;
    ids.reserve(encoded->size() + 2);
    if (AddsBos()) ids.push_back(tokenizer.bos_id());
    ids.insert(ids.end(), encoded->begin(), encoded->end());
    if (tokenizer.eos_id() >= 0) ids.push_back(tokenizer.eos_id());
    AddChunks(ids);
    return absl::OkStatus();
  }

  bool AddsBos() const {
    const tokenizer::Tokenizer& tokenizer = *options_.tokenizer;
    return tokenizer.bos_id() >= 0 && (options_.pieces || tokenizer.adds_bos());
  }

  void AddChunks(const std::vector<int32_t>& ids) {
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
      collector_->Add(std::move(sample), SampleFacts());
      begin += size;
    }
  }

  std::vector<std::string> Sentences() const {
    std::vector<std::string> lines = {mapping_->explanation()};
    for (const std::string& note : reader_->notes()) lines.push_back(note);
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
    if (IsText()) {
      lines.push_back(StrCat(options_.source.source, ": every document ",
                             AddsBos() ? "begins with BOS and " : "",
                             options_.tokenizer->eos_id() >= 0 ? "ends with EOS and " : "",
                             "is cut into chunks of at most ", Counted(options_.max_length, "token")));
    }
    return lines;
  }

  const TextSourceOptions& options_;
  Collector* collector_;
  std::unique_ptr<data::RecordReader> reader_;
  std::optional<data::Mapping> mapping_;
  Render render_;
  int64_t records_ = 0;
  Noted left_over_, only_read_;
};

}  // namespace

StatusOr<std::vector<std::string>> ReadTextSource(const TextSourceOptions& options, Collector* collector) {
  FT_CHECK(options.tokenizer != nullptr && options.max_length >= 2);
  return TextReader(options, collector).Run();
}

}  // namespace ft::prepare
