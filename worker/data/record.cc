#include "worker/data/record.h"

#include <algorithm>
#include <array>

#include "core/base/file.h"
#include "worker/data/csv_reader.h"
#include "worker/data/json_reader.h"
#include "worker/data/txt_reader.h"
#include "worker/data/xlsx_reader.h"

namespace ft::data {
namespace {

StatusOr<std::string> FirstBytes(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const RandomAccessFile file, RandomAccessFile::Open(path));
  std::string head(std::min<uint64_t>(8, file.size()), '\0');
  RETURN_IF_ERROR(file.ReadAt(0, std::as_writable_bytes(std::span(head))));
  return head;
}

std::string LowerExtension(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return extension;
}

StatusOr<std::unique_ptr<RecordReader>> Refuse(const std::filesystem::path& path, std::string_view why) {
  return absl::InvalidArgumentError(StrCat(path.string(), " ", why));
}

// The reader as the interface, whatever its class.
template <typename Reader>
StatusOr<std::unique_ptr<RecordReader>> AsReader(StatusOr<std::unique_ptr<Reader>> reader) {
  if (!reader.ok()) return reader.status();
  return std::unique_ptr<RecordReader>(*std::move(reader));
}

}  // namespace

StatusOr<std::unique_ptr<RecordReader>> OpenRecords(const std::filesystem::path& path,
                                                    const ReaderOptions& options) {
  ASSIGN_OR_RETURN(const std::string head, FirstBytes(path));
  const std::string extension = LowerExtension(path);
  if (head.starts_with("\xD0\xCF\x11\xE0")) {
    return Refuse(path, "is an old .xls or password-protected workbook; save it as .xlsx without a password");
  }
  if (extension == ".xlsx" || extension == ".xlsm") return AsReader(XlsxReader::Open(path, options.sheet));
  if (!options.sheet.empty()) return Refuse(path, "has no sheets; take sheet: out of the job file");
  if (head.starts_with("PK\x03\x04")) {
    return Refuse(path, "is a zip file; unpack it, or call it .xlsx if it is a workbook");
  }
  if (head.starts_with("\x1F\x8B")) return Refuse(path, "is compressed; unpack it with gunzip");
  if (head.starts_with("PAR1"))
    return Refuse(path, "is a parquet file, which this version cannot read; save it as .jsonl");
  if (extension == ".csv" || extension == ".tsv") return AsReader(CsvReader::Open(path));
  if (extension == ".txt" || extension == ".md") return AsReader(TxtReader::Open(path, options.text_field));
  if (extension == ".json" || extension == ".jsonl" || extension == ".ndjson") {
    ASSIGN_OR_RETURN(JsonValues values, JsonValues::Open(path));
    return std::unique_ptr<RecordReader>(std::make_unique<JsonReader>(std::move(values), path.string()));
  }
  return Refuse(path,
                "is of no kind this version reads; give it as .json, .jsonl, .csv, .tsv, .txt or .xlsx");
}

std::string Describe(const Origin& origin) {
  if (!origin.sheet.empty()) return StrCat(origin.file, " sheet ", origin.sheet, " row ", origin.row);
  if (origin.row > 0) return StrCat(origin.file, " line ", origin.row);
  return origin.file;
}

const Field* Record::Find(std::string_view name) const {
  for (const Field& field : fields) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

}  // namespace ft::data
