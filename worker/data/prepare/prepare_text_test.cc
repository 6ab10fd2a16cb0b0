#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/shared_dir.h"
#include "tests/support/temp_dir.h"
#include "worker/data/cache/token_cache.h"
#include "worker/data/prepare/prepare.h"
#include "worker/data/readers/parquet_fixture.h"
#include "worker/data/readers/xlsx_fixture.h"
#include "worker/data/tokenizer/tiny_tokenizer.h"

namespace ft::prepare {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tokenizer::kTinyEndOfText;
using tokenizer::kTinyImEnd;

constexpr const char* kChatMl =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

class PrepareTextTest : public ::testing::Test {
 protected:
  PrepareTextTest() {
    request_.model = dir_ / "model";
    request_.roots.allowed = {dir_.path()};
    request_.cache_dir = dir_ / "cache";
    request_.spec.train.max_length = 256;
    WriteModel(267);
  }
  void WriteModel(int vocab_size) {
    nlohmann::json config = tokenizer::TinyTokenizerConfig();
    config["chat_template"] = kChatMl;
    tokenizer::WriteTinyTokenizer(request_.model, tokenizer::TinyTokenizerJson(), config);
    const std::string model_config = StrCat("{\"vocab_size\": ", vocab_size, "}");
    ASSERT_TRUE(WriteFileDurably(request_.model / "config.json", model_config).ok());
  }
  recipe::DataSource& AddFile(const std::string& name, const std::string& content) {
    EXPECT_TRUE(WriteFileDurably(dir_ / name, content).ok());
    return AddSource(dir_ / name);
  }
  recipe::DataSource& AddSource(const std::filesystem::path& path) {
    recipe::DataSource source;
    source.source = path.string();
    request_.spec.data.push_back(source);
    return request_.spec.data.back();
  }
  std::string Error() {
    const Status status = Prepare(request_).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(Message(status));
  }
  // All lines of the report.
  std::string Lines() {
    auto report = Prepare(request_);
    EXPECT_TRUE(report.ok()) << report.status();
    std::string text;
    if (report.ok()) {
      for (const std::string& line : report->lines) StrAppend(&text, line, "\n");
    }
    return text;
  }
  std::vector<std::vector<int32_t>> Samples() {
    auto report = Prepare(request_);
    EXPECT_TRUE(report.ok()) << report.status();
    std::vector<std::vector<int32_t>> samples;
    if (!report.ok()) return samples;
    auto cache = data::TokenCache::Open(report->cache_path, true);
    EXPECT_TRUE(cache.ok()) << cache.status();
    for (int64_t i = 0; i < cache->samples(); ++i)
      samples.emplace_back(cache->at(i).ids.begin(), cache->at(i).ids.end());
    return samples;
  }
  ft::testing::TempDir dir_;
  PrepareRequest request_;
};

TEST_F(PrepareTextTest, DocumentsEndWithEosAndAreCutIntoChunks) {
  request_.spec.train.max_length = 4;
  AddFile("t.txt", "abcdz\nxy\n").format = "text";
  // "ab" is one token: [ab c d z EOS] is cut after three, so that the last chunk is not EOS alone.
  EXPECT_THAT(Samples(), ElementsAre(ElementsAre(263, 'c', 'd'), ElementsAre('z', kTinyImEnd),
                                     ElementsAre('x', 'y', kTinyImEnd)));
  EXPECT_THAT(Lines(),
              HasSubstr("t.txt: every document ends with EOS and is cut into chunks of at most 4 tokens"));
}

TEST_F(PrepareTextTest, AnEndTokenOfTheJobTakesThePlaceOfTheTokenizers) {
  AddFile("one.txt", "hello").format = "text";
  const int32_t own = Samples().at(0).back();
  request_.spec.model.eos_token = "<|endoftext|>";
  const int32_t named = Samples().at(0).back();
  EXPECT_EQ(own, tokenizer::kTinyImEnd);
  EXPECT_NE(named, own);
  request_.spec.model.eos_token = "<|stop|>";
  EXPECT_THAT(Error(), HasSubstr("model.eos_token: \"<|stop|>\" is not a token of "));
}

TEST_F(PrepareTextTest, PiecesPutBosInFrontAndSpecialTextStaysText) {
  request_.spec.train.tokenize = "pieces";
  AddFile("t.jsonl", "{\"text\": \"<|im_end|>\"}\n");
  const auto samples = Samples();
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].size(), 12u);  // BOS, ten characters, EOS.
  EXPECT_EQ(samples[0].front(), kTinyEndOfText);
  EXPECT_NE(samples[0][1], kTinyImEnd);
}

// Two rows of messages: a question with its answer, and a second such pair.
data::FileToWrite Dialogues() {
  data::FileToWrite file = data::ParquetMessages();
  const std::string repetitions = data::ParquetRunBytes({0, 1, 0, 1}),
                    definitions = data::ParquetRunBytes({4, 4, 4, 4});
  file.groups[0].rows = 2;
  file.groups[0].columns[0].pages = {{.entries = 4,
                                      .values = data::PlainTexts({"user", "assistant", "user", "assistant"}),
                                      .repetitions = repetitions,
                                      .definitions = definitions}};
  file.groups[0].columns[1].pages = {{.entries = 4,
                                      .values = data::PlainTexts({"who?", "me", "where?", "here"}),
                                      .repetitions = repetitions,
                                      .definitions = definitions}};
  return file;
}

TEST_F(PrepareTextTest, MessagesOfParquetAreReadAsThoseOfJson) {
  AddFile("d.parquet", data::ParquetBytes(Dialogues()));
  const std::string lines = Lines();
  EXPECT_THAT(lines, HasSubstr("d.parquet row 1: "));
  EXPECT_THAT(lines, HasSubstr("<|im_start|>user\nwho?<|im_end|>\n<|im_start|>assistant\n⟦me<|im_end|>"));
  const auto from_parquet = Samples();
  request_.spec.data.clear();
  AddFile("d.jsonl",
          "{\"messages\": [{\"role\": \"user\", \"content\": \"who?\"}, {\"role\": \"assistant\", "
          "\"content\": \"me\"}]}\n"
          "{\"messages\": [{\"role\": \"user\", \"content\": \"where?\"}, {\"role\": \"assistant\", "
          "\"content\": \"here\"}]}\n");
  EXPECT_EQ(from_parquet, Samples());
}

TEST_F(PrepareTextTest, NestedColumnsOfParquetAreRefusedWhereTextBelongs) {
  recipe::DataSource& source = AddFile("d.parquet", data::ParquetBytes(Dialogues()));
  source.map = recipe::ColumnMap{.output = "messages"};
  EXPECT_THAT(Error(),
              HasSubstr("d.parquet row 1: \"messages\" holds a list or an object where text belongs"));
}

TEST_F(PrepareTextTest, ConversationsAreRenderedAndShown) {
  AddFile("qa.csv", "question,answer\nwho?,me\nwhere?,here\n");
  const std::string lines = Lines();
  EXPECT_THAT(lines,
              HasSubstr("qa.csv: question is the question, answer is the answer (guessed by their names)"));
  EXPECT_THAT(lines, HasSubstr("qa.csv line 2: "));
  EXPECT_THAT(lines, HasSubstr("<|im_start|>user\nwho?<|im_end|>\n<|im_start|>assistant\n⟦me<|im_end|>"));
  EXPECT_THAT(lines, HasSubstr("2 samples (0 held out)"));
}

TEST_F(PrepareTextTest, ConversionIsSaid) {
  AddFile("qa.csv", "\xCE\xCA\xCC\xE2,\xB4\xF0\xB0\xB8\n\xC4\xE3\xBA\xC3,\xCA\xC0\xBD\xE7\n");
  EXPECT_THAT(Lines(), HasSubstr("qa.csv: read as GB18030 and converted to UTF-8"));
}

TEST_F(PrepareTextTest, EmptyAnswerIsRefusedByFileSheetAndRow) {
  using data::TextCell;
  data::WriteZip(
      dir_ / "qa.xlsx",
      data::WorkbookParts(data::WithHeader("<row r=\"2\">" + TextCell("A2", "q") + TextCell("B2", "a") +
                                           "</row>" + "<row r=\"3\">" + TextCell("A3", "q") + "</row>")));
  AddSource(dir_ / "qa.xlsx");
  EXPECT_THAT(Error(), HasSubstr("qa.xlsx sheet Data row 3: the answer or text is empty"));
  request_.spec.gate.allow_empty_output = true;
  EXPECT_TRUE(Prepare(request_).ok());
}

TEST_F(PrepareTextTest, ErrorCellIsRefusedByRow) {
  data::WriteZip(
      dir_ / "qa.xlsx",
      data::WorkbookParts(data::WithHeader("<row r=\"2\">" + data::TextCell("A2", "q") +
                                           "<c r=\"B2\" t=\"e\"><f>1/0</f><v>#DIV/0!</v></c></row>")));
  AddSource(dir_ / "qa.xlsx");
  EXPECT_THAT(Error(), HasSubstr("qa.xlsx sheet Data row 2: \"Answer\" holds the error #DIV/0!"));
}

TEST_F(PrepareTextTest, EmptyQuestionIsRefusedByLine) {
  AddFile("qa.csv", "question,answer\nq,a\n ,a\n");
  EXPECT_THAT(Error(), HasSubstr("qa.csv line 3: the question is empty"));
}

TEST_F(PrepareTextTest, EmptyTextIsRefusedByLine) {
  AddFile("t.jsonl", "{\"text\": \"x\"}\n{\"text\": \" \"}\n").format = "text";
  EXPECT_THAT(Error(), HasSubstr("t.jsonl line 2: the answer or text is empty"));
}

TEST_F(PrepareTextTest, QuestionThatFillsTheLengthIsRefused) {
  request_.spec.train.max_length = 16;
  request_.spec.gate.allow_truncation = true;
  AddFile("qa.csv", "question,answer\n" + std::string(40, 'q') + ",a\n");
  EXPECT_THAT(Error(),
              HasSubstr("qa.csv line 2: no token carries loss once the sample is cut to train.max_length"));
}

TEST_F(PrepareTextTest, TooManyCutSamplesAreRefused) {
  request_.spec.train.max_length = 40;
  AddFile("qa.csv", "question,answer\nq," + std::string(60, 'a') + "\n");
  EXPECT_THAT(Error(), HasSubstr("1 of 1 sample (100%) is longer than train.max_length 40"));
}

TEST_F(PrepareTextTest, RecordsWithoutAnAnswerAreLeftOutAndCounted) {
  AddFile("a.json", R"([{"instruction":"i","output":"<nooutput>"},{"instruction":"i","output":"o"}])");
  EXPECT_THAT(Lines(), HasSubstr("1 record without an answer was left out"));
}

TEST_F(PrepareTextTest, AutoFindsTokens) {
  AddFile("t.jsonl", "{\"input_ids\": [1, 2, 3]}\n");
  EXPECT_THAT(Samples(), ElementsAre(ElementsAre(1, 2, 3)));
}

TEST_F(PrepareTextTest, MaxRecordsTakesTheFirst) {
  AddFile("t.txt", "one\ntwo\nthree\n").max_records = 2;
  EXPECT_EQ(Samples().size(), 2u);
}

// More records than are worked on at a time, of lengths that take the threads unequally long.
std::string ManyRecords(int records) {
  std::string lines;
  for (int i = 0; i < records; ++i)
    StrAppend(&lines, "{\"text\": \"", i, std::string(static_cast<size_t>(i * 7 % 200), 'x'), "\"}\n");
  return lines;
}

TEST_F(PrepareTextTest, SamplesOfAllThreadsLieInTheRecordsOrder) {
  AddFile("many.jsonl", ManyRecords(2500)).format = "text";
  const auto samples = Samples();
  ASSERT_EQ(samples.size(), 2500u);
  for (size_t i = 0; i < samples.size(); ++i) {
    const std::string number = std::to_string(i);
    ASSERT_EQ(std::string(samples[i].begin(), samples[i].begin() + static_cast<ptrdiff_t>(number.size())),
              number);
    ASSERT_EQ(samples[i].size(), number.size() + i * 7 % 200 + 1);
  }
}

TEST_F(PrepareTextTest, TheFirstBrokenRecordIsTheOneThatIsNamed) {
  AddFile("many.jsonl", ManyRecords(1500) + "{\"other\": 1}\n" + ManyRecords(100) + "{\"text\": broken\n")
      .format = "text";
  EXPECT_THAT(Error(), HasSubstr("many.jsonl line 1501"));
}

TEST_F(PrepareTextTest, MaxRecordsMayEndWithinABatch) {
  AddFile("many.jsonl", ManyRecords(2500)).max_records = 1100;
  EXPECT_EQ(Samples().size(), 1100u);
}

TEST_F(PrepareTextTest, SourcesFollowEachOtherAndEmptyOnesAreRefused) {
  AddFile("a.txt", "a\n");
  AddFile("b.txt", "b\n");
  EXPECT_THAT(Samples(), ElementsAre(ElementsAre('a', kTinyImEnd), ElementsAre('b', kTinyImEnd)));
  AddFile("c.csv", "question,answer\n");
  EXPECT_THAT(Error(), HasSubstr("c.csv holds no records"));
}

// 80
class CasesPrepare : public PrepareTextTest {};
TEST_F(CasesPrepare, AnAddedPadTokenBeyondTheModelsRowsIsAccepted) {
  nlohmann::json json = tokenizer::TinyTokenizerJson(), config = tokenizer::TinyTokenizerConfig();
  json["added_tokens"].push_back(tokenizer::TinyAddedToken(267, "[PAD]"));
  config["pad_token"] = "[PAD]";
  config["chat_template"] = kChatMl;
  tokenizer::WriteTinyTokenizer(request_.model, json, config);
  AddFile("qa.csv", "question,answer\nhello,[PAD] or\n");
  const auto report = Prepare(request_);
  EXPECT_TRUE(report.ok()) << report.status();
}

TEST_F(PrepareTextTest, TokenizerOfAnotherModelIsRefused) {
  WriteModel(260);
  AddFile("t.txt", "a\n");
  EXPECT_THAT(Error(),
              HasSubstr("the tokenizer has 264 ids, the model 260; the tokenizer belongs to another model"));
}

TEST_F(PrepareTextTest, UnknownTemplateIsRefused) {
  AddFile("qa.csv", "question,answer\nq,a\n").template_name = "no_such_template";
  const Status status = Prepare(request_).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(Message(status)), HasSubstr("no_such_template"));
}

TEST_F(PrepareTextTest, AFolderIsItsDataFilesOneAfterTheOther) {
  ASSERT_TRUE(MakeDirectories(dir_ / "set").ok());
  AddFile("set/train-1.jsonl", "{\"question\": \"where?\", \"answer\": \"here\"}\n");
  AddFile("set/train-0.jsonl", "{\"question\": \"who?\", \"answer\": \"me\"}\n");
  AddFile("set/test.jsonl", "{\"question\": \"when?\", \"answer\": \"now\"}\n");
  std::swap(request_.spec.data[0], request_.spec.data[1]);
  request_.spec.data.pop_back();
  const auto of_files = Samples();
  request_.spec.data.clear();
  AddSource(dir_ / "set");
  EXPECT_EQ(Samples(), of_files);
  EXPECT_THAT(Lines(), HasSubstr("set: of the folder's 3 files 2 are read: train-0.jsonl, train-1.jsonl"));
  request_.spec.data[0].split = "test";
  EXPECT_EQ(Samples().size(), 1u);
}

TEST_F(PrepareTextTest, AFolderWithoutDataIsRefused) {
  ASSERT_TRUE(MakeDirectories(dir_ / "none").ok());
  AddSource(dir_ / "none");
  EXPECT_THAT(Error(), HasSubstr("none has no file of data that this program reads; its files are none"));
}

TEST_F(PrepareTextTest, NothingIsWrittenForAPreview) {
  AddFile("t.txt", "a\n");
  request_.cache_dir.clear();
  auto report = Prepare(request_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->cache_path.empty());
  EXPECT_THAT(report->lines.back(), HasSubstr("a⟦<|im_end|>⟧"));
}

class PrepareSharedDataTest : public PrepareTextTest {
 protected:
  void SetUp() override {
    const auto shared = ft::testing::SharedDir();
    if (!shared) GTEST_SKIP() << "shared/data is not beside this checkout";
    shared_ = *shared / "data";
    request_.roots.allowed.push_back(shared_);
    request_.spec.train.max_length = 16384;
  }
  std::filesystem::path shared_;
};

TEST_F(PrepareSharedDataTest, MedicationQaIsAcceptedWhole) {
  AddSource(shared_ / "medication_qa.xlsx");
  request_.spec.holdout = 0.1;
  auto report = Prepare(request_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->samples, 690);
  EXPECT_EQ(report->holdout_samples, 69);
  EXPECT_EQ(report->truncated_samples, 0);
  EXPECT_THAT(report->lines[0],
              HasSubstr("Question is the question, Answer is the answer (guessed by their names)"));
}

// The real workbook with the answer of one row taken out, rewritten part by part.
TEST_F(PrepareSharedDataTest, MedicationQaWithOneEmptyAnswerIsRefusedByRow) {
  std::map<std::string, std::string> parts;
  data::ReadZip(shared_ / "medication_qa.xlsx", &parts);
  std::string& sheet = parts["xl/worksheets/sheet1.xml"];
  const std::string cell = "<c r=\"D24\" ";
  const size_t begin = sheet.find(cell);
  ASSERT_NE(begin, std::string::npos);
  const size_t end = sheet.find("</c>", begin);
  ASSERT_NE(end, std::string::npos);
  sheet.replace(begin, end + 4 - begin, "<c r=\"D24\"/>");
  data::WriteZip(dir_ / "copy.xlsx", parts);
  AddSource(dir_ / "copy.xlsx");
  const std::string error = Error();
  EXPECT_THAT(error, HasSubstr("1 of 690 samples are refused"));
  EXPECT_THAT(error, HasSubstr("copy.xlsx sheet DrugQA row 24: the answer or text is empty"));
}

TEST_F(PrepareSharedDataTest, ChatAndPlainTextSetsAreAccepted) {
  for (const char* name : {"alpaca_en_demo.json", "alpaca_zh_demo.json", "identity.json",
                           "glaive_toolcall_en_demo.json", "wiki_demo.txt", "c4_demo.jsonl"}) {
    request_.spec.data.clear();
    AddSource(shared_ / name);
    auto report = Prepare(request_);
    ASSERT_TRUE(report.ok()) << name << ": " << report.status();
    EXPECT_GT(report->samples, 29) << name;
    EXPECT_GT(report->supervised_tokens, 0) << name;
  }
}

}  // namespace
}  // namespace ft::prepare
