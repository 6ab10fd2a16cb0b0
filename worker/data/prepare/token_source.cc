#include "worker/data/prepare/token_source.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <simdjson.h>

#include "core/base/check.h"
#include "worker/data/readers/json_values.h"
#include "worker/data/readers/record.h"

namespace ft::prepare {
namespace {

constexpr int64_t kIgnoreIndex = -100;

// The arrays of one record, once its keys are known to be right.
struct Arrays {
  std::optional<simdjson::dom::array> ids, labels, mask;
};

class Parser {
 public:
  explicit Parser(const TokenSourceOptions& options) : options_(options) {}

  StatusOr<Sample> Parse(std::string_view text, const data::Origin& origin) {
    place_ = data::Describe(origin);
    simdjson::dom::object object;
    if (const auto error = parser_.parse(text.data(), text.size()).get(object)) {
      return Error(StrCat("broken JSON: ", simdjson::error_message(error)));
    }
    ASSIGN_OR_RETURN(const Arrays arrays, Find(object));
    if (!arrays.ids) return Error("input_ids is missing; write {\"input_ids\": [...], \"labels\": [...]}");
    Sample sample;
    RETURN_IF_ERROR(ReadIds(*arrays.ids, &sample));
    if (arrays.labels) RETURN_IF_ERROR(ReadLabels(*arrays.labels, &sample));
    if (arrays.mask) RETURN_IF_ERROR(CheckMask(*arrays.mask));
    return sample;
  }

 private:
  Status Error(std::string_view why) const { return absl::InvalidArgumentError(StrCat(place_, ": ", why)); }

  StatusOr<Arrays> Find(const simdjson::dom::object& object) const {
    Arrays arrays;
    for (const auto field : object) {
      const std::string key(field.key);
      std::optional<simdjson::dom::array>* place = key == "input_ids"        ? &arrays.ids
                                                   : key == "labels"         ? &arrays.labels
                                                   : key == "attention_mask" ? &arrays.mask
                                                                             : nullptr;
      if (place == nullptr) {
        return Error(StrCat("unknown key \"", key, "\"; `format: tokens` takes input_ids and labels"));
      }
      if (place->has_value()) return Error(StrCat("key \"", key, "\" stands twice; keep one"));
      simdjson::dom::array array;
      if (field.value.get(array) != simdjson::SUCCESS)
        return Error(StrCat(key, " must be an array of whole numbers"));
      *place = array;
    }
    return arrays;
  }

  Status ReadIds(const simdjson::dom::array& array, Sample* sample) const {
    int64_t position = 0;
    for (const simdjson::dom::element element : array) {
      int64_t id = 0;
      if (element.get(id) != simdjson::SUCCESS) {
        return Error(StrCat("input_ids at position ", position, " is not a whole number"));
      }
      if (id < 0 || id >= options_.vocab_size) {
        return Error(StrCat("id ", id, " at position ", position, " is outside the model's vocabulary of ",
                            options_.vocab_size, " ids; tokenise the data with this model's tokenizer"));
      }
      sample->ids.push_back(static_cast<int32_t>(id));
      ++position;
    }
    sample->loss_mask.assign(sample->ids.size(), 1);
    return absl::OkStatus();
  }

  Status ReadLabels(const simdjson::dom::array& array, Sample* sample) const {
    size_t position = 0;
    for (const simdjson::dom::element element : array) {
      int64_t label = 0;
      if (element.get(label) != simdjson::SUCCESS) {
        return Error(StrCat("labels at position ", position, " is not a whole number"));
      }
      if (position < sample->ids.size()) {
        const int32_t id = sample->ids[position];
        if (label != kIgnoreIndex && label != id) {
          return Error(StrCat("label ", label, " at position ", position,
                              " is neither -100 nor the id there (", id,
                              "); labels stand beside their ids, not shifted"));
        }
        sample->loss_mask[position] = label != kIgnoreIndex;
      }
      ++position;
    }
    if (position != sample->ids.size()) {
      return Error(StrCat(position, " labels for ", sample->ids.size(), " input_ids; give one label an id"));
    }
    return absl::OkStatus();
  }

  Status CheckMask(const simdjson::dom::array& array) const {
    int64_t position = 0;
    for (const simdjson::dom::element element : array) {
      int64_t value = 0;
      if (element.get(value) != simdjson::SUCCESS || value != 1) {
        return Error(
            StrCat("attention_mask at position ", position, " is not 1; give samples without padding"));
      }
      ++position;
    }
    return absl::OkStatus();
  }

  const TokenSourceOptions& options_;
  simdjson::dom::parser parser_;
  std::string place_;
};

// What a row of a table would be in JSON. An empty cell is a key that is not there.
std::string AsJson(const data::Record& record) {
  std::string text = "{";
  for (const data::Field& field : record.fields) {
    if (field.kind == data::FieldKind::kNull) continue;
    const bool quoted = field.kind == data::FieldKind::kText || field.kind == data::FieldKind::kError;
    StrAppend(&text, text.size() > 1 ? "," : "", nlohmann::json(field.name).dump(), ":",
              quoted ? nlohmann::json(field.text).dump() : field.text);
  }
  return text + "}";
}

// A JSON file's values as they stand there, a parquet file's rows as what they would be.
class TokenRecords {
 public:
  static StatusOr<TokenRecords> Open(const std::filesystem::path& path) {
    TokenRecords records(path.string());
    if (path.extension() == ".parquet") {
      ASSIGN_OR_RETURN(records.rows_, data::OpenRecords(path, {}));
    } else {
      ASSIGN_OR_RETURN(records.values_, data::JsonValues::Open(path));
    }
    return records;
  }
  // Whether there is a further record; sets its text, which lasts until the next call, and its place.
  StatusOr<bool> Next(std::string_view* text, data::Origin* origin) {
    if (rows_ != nullptr) {
      ASSIGN_OR_RETURN(const std::optional<data::Record> row, rows_->Next());
      if (!row) return false;
      row_ = AsJson(*row);
      *text = row_;
      *origin = row->origin;
      return true;
    }
    ASSIGN_OR_RETURN(const std::optional<data::JsonValue> value, values_->Next());
    if (!value) return false;
    *text = value->text;
    *origin = {.file = file_, .row = value->line, .index = value->index};
    return true;
  }

 private:
  explicit TokenRecords(std::string file) : file_(std::move(file)) {}
  std::string file_;
  std::unique_ptr<data::RecordReader> rows_;
  std::optional<data::JsonValues> values_;  // Where rows_ is null.
  std::string row_;
};

}  // namespace

Status ReadTokenSource(const TokenSourceOptions& options, Collector* collector) {
  FT_CHECK(options.vocab_size > 0);
  ASSIGN_OR_RETURN(TokenRecords records, TokenRecords::Open(options.path));
  Parser parser(options);
  for (int64_t count = 0; options.max_records == 0 || count < options.max_records; ++count) {
    std::string_view text;
    data::Origin origin;
    ASSIGN_OR_RETURN(const bool any, records.Next(&text, &origin));
    if (!any) break;
    ASSIGN_OR_RETURN(Sample sample, parser.Parse(text, origin));
    collector->BeginRecord(origin);
    collector->Add(std::move(sample), SampleFacts());
    RETURN_IF_ERROR(collector->status());
  }
  return absl::OkStatus();
}

}  // namespace ft::prepare
