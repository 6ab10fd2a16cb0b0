// A record of a user's data, whatever file it came from: ordered fields with their values as text, and the
// place a person finds it at again. docs/formats/records.md says how each kind of file becomes records.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/base/status.h"

namespace ft::data {

// Where a record stands. Lines and rows count from 1 as editors and spreadsheets show them.
struct Origin {
  std::string file;       // The path as it was opened.
  std::string sheet;      // Sheet of a spreadsheet, otherwise empty.
  int64_t row = 0;        // The spreadsheet's row, otherwise the line the record begins on.
  int64_t index = 0;      // Counts the records of the source from 0.
  bool of_table = false;  // row counts the records of a file that has no lines.
};

// "data/qa.xlsx sheet DrugQA row 12", "data/qa.parquet row 12" or "data/qa.jsonl line 12".
std::string Describe(const Origin& origin);

enum class FieldKind { kText, kNumber, kBool, kNull, kNested, kError };

struct Field {
  std::string name;
  FieldKind kind = FieldKind::kText;
  std::string
      text;  // The value as text; JSON's own spelling for kNested, empty for kNull, the cause for kError.
  nlohmann::ordered_json
      nested;  // Keys in their order. Only for kNested: an array or an object, at most 64 levels deep.
};

struct Record {
  Origin origin;
  std::vector<Field> fields;
  // Null when there is no field of that name.
  const Field* Find(std::string_view name) const;
};

// One thread. A broken record is an error that names its place; reading does not go on after it.
class RecordReader {
 public:
  virtual ~RecordReader() = default;
  // Nothing after the last record.
  virtual StatusOr<std::optional<Record>> Next() = 0;
  // Names of a table's columns in order; empty for shapes without columns (json, txt).
  virtual const std::vector<std::string>& columns() const = 0;
  // For a table, where its columns were named and what else could be read ("row 1 of sheet Cover names the
  // fields; other sheets: QA, to be named with sheet:"); otherwise empty.
  virtual std::string table() const { return ""; }
  // Sentences for people: a converted encoding, the sheet that was read. Complete after the last record.
  virtual std::vector<std::string> notes() const = 0;
};

struct ReaderOptions {
  std::string sheet;                // For .xlsx; empty = the first.
  std::string text_field = "text";  // Name given to the field of a .txt file's records.
  std::string documents = "auto";   // What a record of a .txt file is: auto, paragraphs, lines or file.
};

// Whether a file's name says that it is text without fields (.txt, .md).
bool IsPlainText(const std::filesystem::path& path);

// Chooses the reader by the file's name (.json .jsonl .csv .tsv .txt .xlsx .parquet) and its first bytes.
// INVALID_ARGUMENT for kinds this version does not read, naming what to do.
StatusOr<std::unique_ptr<RecordReader>> OpenRecords(const std::filesystem::path& path,
                                                    const ReaderOptions& options);

}  // namespace ft::data
