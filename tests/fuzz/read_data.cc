#include <array>
#include <cstring>
#include <map>
#include <string>

#include "core/base/check.h"
#include "core/base/file.h"
#include "tests/fuzz/readers.h"
#include "tests/support/temp_dir.h"
#include "worker/data/cache/token_cache.h"
#include "worker/data/chat/data_set_maps.h"
#include "worker/data/chat/python_text.h"
#include "worker/data/prepare/prepare.h"
#include "worker/data/prepare/prompt_file.h"
#include "worker/data/prepare/token_source.h"
#include "worker/data/readers/number_format.h"
#include "worker/data/readers/record.h"
#include "worker/data/readers/xlsx_fixture.h"
#include "worker/data/tokenizer/tiny_tokenizer.h"
#include "worker/rank/mmlu.h"

namespace ft::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTinyVocabulary = 267;
constexpr int kRecordsRead = 10000;
constexpr size_t kPromptsRead = 256;

// A folder with the tiny tokenizer and as much of a model as preparation looks at.
const fs::path& TinyModel() {
  static const ft::testing::TempDir dir;
  static const bool written = [] {
    tokenizer::WriteTinyTokenizer(dir.path(), tokenizer::TinyTokenizerJson(),
                                  tokenizer::TinyTokenizerConfig());
    const std::string config = StrCat("{\"vocab_size\": ", kTinyVocabulary, "}");
    FT_CHECK(WriteFileDurably(dir / "config.json", config).ok());
    return true;
  }();
  FT_CHECK(written);
  return dir.path();
}

}  // namespace

Status ReadDataRecords(const fs::path& path) {
  ASSIGN_OR_RETURN(const auto reader, data::OpenRecords(path, {}));
  // A few bytes of a parquet file may be very many equal records.
  for (int i = 0; i < kRecordsRead; ++i) {
    ASSIGN_OR_RETURN(const auto record, reader->Next());
    if (!record.has_value()) break;
    data::Describe(record->origin);
  }
  reader->notes();
  return absl::OkStatus();
}

// A whole .xlsx is guarded by checksums that no mutation gets past. Here the bytes are its parts, one after
// the other with a form feed (which XML cannot hold) between: sheet, workbook, shared strings, styles.
Status ReadSheetParts(const fs::path& path) {
  constexpr std::array<const char*, 4> kParts = {"xl/worksheets/sheet1.xml", "xl/workbook.xml",
                                                 "xl/sharedStrings.xml", "xl/styles.xml"};
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  std::map<std::string, std::string> parts = data::WorkbookParts("");
  size_t begin = 0;
  for (const char* part : kParts) {
    const size_t end = std::min(bytes.find('\f', begin), bytes.size());
    if (end > begin) parts[part] = bytes.substr(begin, end - begin);
    if (end == bytes.size()) break;
    begin = end + 1;
  }
  const fs::path workbook = path.parent_path() / "data.xlsx";
  data::WriteZip(workbook, parts);
  return ReadDataRecords(workbook);
}

// Eight bytes of the number, then the format's code.
Status ReadNumberFormat(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  double value = 0;
  if (bytes.size() < sizeof(value)) return absl::InvalidArgumentError("no number");
  std::memcpy(&value, bytes.data(), sizeof(value));
  const std::string_view code = std::string_view(bytes).substr(sizeof(value));
  data::FormatGeneral(value);
  for (const bool from_1904 : {false, true}) data::FormatNumber(value, code, {.from_1904 = from_1904});
  return absl::OkStatus();
}

Status ReadTokenSamples(const fs::path& path) {
  prepare::Collector collector({}, /*max_length=*/64);
  RETURN_IF_ERROR(prepare::ReadTokenSource({.path = path, .vocab_size = 1000}, &collector));
  return collector.Verdict();
}

// From any shape of records to tokens and the preview, nothing written.
Status PrepareData(const fs::path& path) {
  prepare::PrepareRequest request;
  request.model = TinyModel();
  request.roots.allowed = {path.parent_path()};
  request.spec.train.max_length = 128;
  request.spec.gate = {.allow_unsupervised = true, .allow_truncation = true, .allow_empty_output = true};
  request.spec.data.resize(1);
  request.spec.data[0].source = path.string();
  request.spec.data[0].template_name = "qwen_chat";
  return prepare::Prepare(request).status();
}

Status ReadPromptFile(const fs::path& path) { return prepare::ReadPrompts(path, kPromptsRead).status(); }

Status ReadMmluFile(const fs::path& path) { return rank::ReadMmlu(path).status(); }

// A literal, written again as Python writes it.
Status ReadPythonLiteral(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  ASSIGN_OR_RETURN(const nlohmann::ordered_json value, data::ParsePythonLiteral(text));
  return data::PythonText(value).status();
}

// The text of a field of MSAgent-Bench.
Status ReadAgentRecord(const fs::path& path) {
  data::Field field{.name = "conversations"};
  ASSIGN_OR_RETURN(field.text, ReadFile(path));
  ASSIGN_OR_RETURN(const data::FieldConversation made, data::FromAgent(field));
  return made.wrong ? absl::InvalidArgumentError(*made.wrong) : absl::OkStatus();
}

Status ReadTokenCache(const fs::path& path) {
  ASSIGN_OR_RETURN(const data::TokenCache cache, data::TokenCache::Open(path, /*verify=*/false));
  for (int64_t i = 0; i < cache.samples(); ++i) data::SupervisedTokens(cache.at(i));
  return absl::OkStatus();
}

}  // namespace ft::fuzz
