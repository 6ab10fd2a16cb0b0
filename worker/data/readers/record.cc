#include "worker/data/readers/record.h"

#include <algorithm>
#include <array>

#include "core/base/file.h"
#include "worker/data/readers/csv_reader.h"
#include "worker/data/readers/json_reader.h"
#include "worker/data/readers/parquet_reader.h"
#include "worker/data/readers/txt_reader.h"
#include "worker/data/readers/xlsx_reader.h"

namespace ft::data {
namespace {

constexpr size_t kHeadBytes = 512;

StatusOr<std::string> FirstBytes(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const RandomAccessFile file, RandomAccessFile::Open(path));
  std::string head(std::min<uint64_t>(kHeadBytes, file.size()), '\0');
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

// What a file that is called a workbook and is none looks like: exporters and people rename.
std::string NotAWorkbook(std::string_view head) {
  std::string start;
  for (const char c : head) start += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (start.find("<html") != std::string::npos || start.find("<!doctype html") != std::string::npos ||
      start.find("<table") != std::string::npos)
    return "is a web page and no workbook, whatever its name says; open it in a spreadsheet program and save "
           "it as .xlsx";
  if (start.find("<?mso-application") != std::string::npos ||
      start.find("urn:schemas-microsoft-com") != std::string::npos)
    return "is a workbook of the XML kind of 2003; open it in a spreadsheet program and save it as .xlsx";
  const bool text = std::none_of(head.begin(), head.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 && c != '\n' && c != '\r' && c != '\t';
  });
  if (text && !head.empty())
    return "is text and no workbook, whatever its name says; if it is a table, call it .csv, or save it as "
           ".xlsx";
  return "is no workbook; open it in a spreadsheet program and save it as .xlsx";
}

// The reader as the interface, whatever its class.
template <typename Reader>
StatusOr<std::unique_ptr<RecordReader>> AsReader(StatusOr<std::unique_ptr<Reader>> reader) {
  if (!reader.ok()) return reader.status();
  return std::unique_ptr<RecordReader>(*std::move(reader));
}

}  // namespace

bool IsPlainText(const std::filesystem::path& path) {
  const std::string extension = LowerExtension(path);
  return extension == ".txt" || extension == ".md";
}

StatusOr<std::unique_ptr<RecordReader>> OpenRecords(const std::filesystem::path& path,
                                                    const ReaderOptions& options) {
  ASSIGN_OR_RETURN(const std::string head, FirstBytes(path));
  const std::string extension = LowerExtension(path);
  if (head.starts_with("\xD0\xCF\x11\xE0")) {
    return Refuse(path, "is an old .xls or password-protected workbook; save it as .xlsx without a password");
  }
  const bool text = IsPlainText(path);
  if (!text && options.documents != "auto") return Refuse(path, "is no plain text; take documents: out");
  const bool workbook = extension == ".xlsx" || extension == ".xlsm";
  const bool zip = head.starts_with("PK");
  if ((workbook && !zip) || extension == ".xls")
    return Refuse(path, zip ? "is a newer workbook; call it .xlsx" : NotAWorkbook(head));
  if (workbook) return AsReader(XlsxReader::Open(path, options.sheet));
  if (!options.sheet.empty()) return Refuse(path, "has no sheets; take sheet: out");
  if (head.starts_with("PK\x03\x04")) {
    return Refuse(path, "is a zip file; unpack it, or call it .xlsx if it is a workbook");
  }
  if (head.starts_with("\x1F\x8B")) return Refuse(path, "is compressed; unpack it with gunzip");
  if (head.starts_with("PAR1") || head.starts_with("PARE")) return AsReader(ParquetReader::Open(path));
  if (extension == ".parquet")
    return Refuse(path, "is no parquet file, whatever its name says; download or copy it again");
  if (extension == ".csv" || extension == ".tsv") return AsReader(CsvReader::Open(path));
  if (text) return AsReader(TxtReader::Open(path, options.text_field, options.documents));
  if (extension == ".json" || extension == ".jsonl" || extension == ".ndjson") {
    ASSIGN_OR_RETURN(JsonValues values, JsonValues::Open(path));
    return std::unique_ptr<RecordReader>(std::make_unique<JsonReader>(std::move(values), path.string()));
  }
  return Refuse(
      path,
      "is of no kind this version reads; give it as .json, .jsonl, .csv, .tsv, .txt, .xlsx or .parquet");
}

std::string Describe(const Origin& origin) {
  if (!origin.sheet.empty()) return StrCat(origin.file, " sheet ", origin.sheet, " row ", origin.row);
  if (origin.row > 0) return StrCat(origin.file, origin.of_table ? " row " : " line ", origin.row);
  return origin.file;
}

const Field* Record::Find(std::string_view name) const {
  for (const Field& field : fields) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

}  // namespace ft::data
