// Reading of vocabularies and the way from text to ids and places, on small vocabularies made here.
#include "worker/data/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "worker/data/tokenizer/gguf_vocabulary.h"
#include "worker/data/tokenizer/tiny_tokenizer.h"

namespace ft::tokenizer {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;

class TinyTokenizerTest : public ::testing::Test {
 protected:
  TinyTokenizerTest() : json_(TinyTokenizerJson()), config_(TinyTokenizerConfig()) {}

  StatusOr<std::unique_ptr<Tokenizer>> TryOpen() {
    WriteTinyTokenizer(dir_.path(), json_, config_);
    return OpenTokenizer(dir_.path());
  }
  std::unique_ptr<Tokenizer> Open() {
    auto tokenizer = TryOpen();
    FT_CHECK(tokenizer.ok()) << tokenizer.status();
    return *std::move(tokenizer);
  }
  // Opening fails with a message that holds all of `parts`.
  void ExpectRefused(const std::vector<std::string>& parts) {
    const Status status = TryOpen().status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    for (const std::string& part : parts) {
      EXPECT_NE(Message(status).find(part), std::string_view::npos) << part << " in: " << status;
    }
  }

  ft::testing::TempDir dir_;
  json json_, config_;
};

TEST_F(TinyTokenizerTest, EncodesAndDecodes) {
  const auto tokenizer = Open();
  EXPECT_EQ(*tokenizer->Encode("hello world"), (Ids{kTinyHello, 262, 'l', 'd'}));
  EXPECT_EQ(tokenizer->Decode(Ids{kTinyHello, 262, 'l', 'd'}), "hello world");
  EXPECT_EQ(*tokenizer->Encode(""), Ids());
  EXPECT_EQ(tokenizer->vocab_size(), 267);
  EXPECT_EQ(tokenizer->TokenId("hello"), kTinyHello);
  EXPECT_EQ(tokenizer->TokenId("hellooo"), std::nullopt);
}

TEST_F(TinyTokenizerTest, TokensKnowTheirBytes) {
  const auto tokenizer = Open();
  const std::string text = "hello<|im_end|> ab\xE4\xBD\xA0";
  const auto tokens = *tokenizer->EncodeWithOffsets(text);
  EXPECT_EQ(tokens, (std::vector<EncodedToken>{{kTinyHello, 0, 5},
                                               {kTinyImEnd, 5, 15},
                                               {' ', 15, 16},
                                               {263, 16, 18},
                                               {0xE4, 18, 19},
                                               {0xBD, 19, 20},
                                               {0xA0, 20, 21}}));
}

TEST_F(TinyTokenizerTest, SpecialTokensAreTextOnRequest) {
  const auto tokenizer = Open();
  EXPECT_EQ(*tokenizer->Encode("<|im_end|>"), Ids{kTinyImEnd});
  EXPECT_EQ(tokenizer->Encode("<|im_end|>", {.parse_special = false})->size(), 10u);
  EXPECT_EQ(tokenizer->Decode(Ids{'a', kTinyImEnd, 'b'}), "a<|im_end|>b");
  EXPECT_EQ(tokenizer->Decode(Ids{'a', kTinyImEnd, 'b'}, {.skip_special = true}), "ab");
  EXPECT_TRUE(tokenizer->is_special(kTinyImEnd));
  EXPECT_FALSE(tokenizer->is_special('a'));
}

TEST_F(TinyTokenizerTest, BosComesFromConfigAndOnlyOnRequest) {
  const auto tokenizer = Open();
  EXPECT_EQ(tokenizer->bos_id(), kTinyEndOfText);
  EXPECT_EQ(tokenizer->eos_id(), kTinyImEnd);
  EXPECT_FALSE(tokenizer->adds_bos());
  EXPECT_EQ(*tokenizer->Encode("a", {.add_bos = true}), (Ids{kTinyEndOfText, 'a'}));
}

TEST_F(TinyTokenizerTest, PostProcessorNamesBos) {
  const json in_front = {{"SpecialToken", {{"id", "<|im_start|>"}, {"type_id", 0}}}};
  const json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  json_["post_processor"] = {{"type", "TemplateProcessing"}, {"single", json::array({in_front, text})}};
  config_.erase("bos_token");
  const auto tokenizer = Open();
  EXPECT_EQ(tokenizer->bos_id(), kTinyImStart);
  EXPECT_TRUE(tokenizer->adds_bos());
}

TEST_F(TinyTokenizerTest, PostProcessorMayPutSeveralTokensInFront) {
  json single = json::array();
  for (const char* id : {"<|im_start|>", "<|endoftext|>"})
    single.push_back({{"SpecialToken", {{"id", id}, {"type_id", 0}}}});
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  json_["post_processor"] = {{"type", "TemplateProcessing"}, {"single", single}};
  EXPECT_EQ(*Open()->Encode("a", {.add_bos = true}), (Ids{kTinyImStart, kTinyEndOfText, 'a'}));
  json_["post_processor"]["single"][1]["SpecialToken"]["id"] = "<sop>";
  ExpectRefused(
      {"tokenizer.json: post_processor asks for the special token \"<sop>\", which is not in the "
       "vocabulary"});
}

TEST_F(TinyTokenizerTest, NormalisedTextMapsBackToItsSource) {
  json_["normalizer"] = {{"type", "NFC"}};
  const auto tokenizer = Open();
  // "e" and a combining acute (3 bytes) become U+00E9 (2 bytes): both tokens come from all three.
  const auto tokens = *tokenizer->EncodeWithOffsets("xe\u0301y");
  EXPECT_EQ(tokens, (std::vector<EncodedToken>{{'x', 0, 1}, {0xC3, 1, 4}, {0xA9, 1, 4}, {'y', 4, 5}}));
}

TEST_F(TinyTokenizerTest, AddedTokensTakeSpacesAlongAndRespectWords) {
  json_["added_tokens"].push_back(TinyAddedToken(267, "[X]"));
  json_["added_tokens"].back()["lstrip"] = true;
  json_["added_tokens"].back()["rstrip"] = true;
  json_["added_tokens"].push_back(TinyAddedToken(268, "cat"));
  json_["added_tokens"].back()["single_word"] = true;
  const auto tokenizer = Open();
  EXPECT_EQ(*tokenizer->EncodeWithOffsets("a [X]  b"),
            (std::vector<EncodedToken>{{'a', 0, 1}, {267, 1, 7}, {'b', 7, 8}}));
  EXPECT_EQ(*tokenizer->Encode("cat"), Ids{268});
  EXPECT_EQ(*tokenizer->Encode("cats"), (Ids{'c', 'a', 't', 's'}));
}

TEST_F(TinyTokenizerTest, LongestAddedTokenWins) {
  json_["added_tokens"].push_back(TinyAddedToken(267, "<|im_end|><|im_end|>"));
  EXPECT_EQ(*Open()->Encode("<|im_end|><|im_end|><|im_end|>"), (Ids{267, kTinyImEnd}));
}

TEST_F(TinyTokenizerTest, PrefixSpaceHasNoBytes) {
  json_["pre_tokenizer"]["add_prefix_space"] = true;
  EXPECT_EQ(*Open()->EncodeWithOffsets("worx"), (std::vector<EncodedToken>{{262, 0, 3}, {'x', 3, 4}}));
}

TEST_F(TinyTokenizerTest, MergesMayBePairs) {
  json pairs = json::array();
  for (const json& merge : json_["model"]["merges"]) {
    const std::string text = merge.get<std::string>();
    pairs.push_back({text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)});
  }
  json_["model"]["merges"] = pairs;
  EXPECT_EQ(*Open()->Encode("hello"), Ids{kTinyHello});
}

TEST_F(TinyTokenizerTest, ChatTemplateFileWinsOverConfig) {
  config_["chat_template"] = "from config";
  EXPECT_EQ(Open()->chat_template(), "from config");
  const json for_tools = {{"name", "tool_use"}, {"template", "x"}};
  const json for_chats = {{"name", "default"}, {"template", "listed"}};
  config_["chat_template"] = json::array({for_tools, for_chats});
  EXPECT_EQ(Open()->chat_template(), "listed");
  ASSERT_TRUE(WriteFileDurably(dir_ / "chat_template.jinja", "from file").ok());
  EXPECT_EQ(Open()->chat_template(), "from file");
}

TEST_F(TinyTokenizerTest, TextMustBeUtf8) {
  const Status status = Open()->Encode("ab\xFF").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(Message(status).find("byte 2"), std::string_view::npos) << status;
}

TEST_F(TinyTokenizerTest, UnsupportedComponentsAreNamed) {
  const json good = json_;
  json_["model"]["type"] = "WordPiece";
  ExpectRefused({"tokenizer.json", "model.type", "WordPiece"});
  json_ = good;
  const json lowercase = {{"type", "Lowercase"}};
  json_["normalizer"] = {{"type", "Sequence"}, {"normalizers", json::array({lowercase})}};
  ExpectRefused({"tokenizer.json", "normalizer.normalizers[0].type", "Lowercase"});
  json_ = good;
  json_["pre_tokenizer"] = {{"type", "Punctuation"}};
  ExpectRefused({"tokenizer.json", "pre_tokenizer.type", "Punctuation"});
  json_ = good;
  json_["decoder"] = {{"type", "WordPiece"}};
  ExpectRefused({"tokenizer.json", "decoder.type", "WordPiece"});
  json_ = good;
  json_["post_processor"] = {{"type", "BertProcessing"}};
  ExpectRefused({"tokenizer.json", "post_processor.type", "BertProcessing"});
  json_ = good;
  json_["model"]["end_of_word_suffix"] = "</w>";
  ExpectRefused({"tokenizer.json", "model.end_of_word_suffix"});
}

TEST_F(TinyTokenizerTest, LyingVocabulariesAreRefusedWithTheirKey) {
  const json good = json_;
  json_["model"]["vocab"]["zz"] = 5;
  ExpectRefused({"tokenizer.json", "id 5"});
  json_ = good;
  json_["model"]["vocab"]["zz"] = -1;
  ExpectRefused({"tokenizer.json", "\"zz\"", "-1"});
  json_ = good;
  json_["model"]["vocab"]["zz"] = 1 << 24;
  ExpectRefused({"tokenizer.json", "\"zz\"", "16777216"});
  json_ = good;
  json_["model"]["vocab"]["zz"] = "one";
  ExpectRefused({"tokenizer.json", "model.vocab.zz"});
  json_ = good;
  json_["model"]["merges"].push_back("qq zz");
  ExpectRefused({"tokenizer.json", "model.merges[8]", "\"qq\""});
  json_ = good;
  json_["model"]["merges"].push_back("h l");
  ExpectRefused({"tokenizer.json", "model.merges[8]", "\"hl\""});
  json_ = good;
  json_["added_tokens"].push_back(TinyAddedToken(5, "<new>"));
  ExpectRefused({"tokenizer.json", "id 5", "<new>"});
  json_ = good;
  json_["added_tokens"].push_back(TinyAddedToken(300, "<|im_end|>"));
  ExpectRefused({"tokenizer.json", "<|im_end|>", "300"});
}

TEST_F(TinyTokenizerTest, TokensOfAnotherModelAreRefused) {
  config_["eos_token"] = "</s>";
  ExpectRefused({"tokenizer_config.json", "eos_token", "</s>"});
}

TEST_F(TinyTokenizerTest, EveryTruncationIsRefused) {
  WriteTinyTokenizer(dir_.path(), json_, config_);
  const std::string good = *ReadFile(dir_ / "tokenizer.json");
  for (size_t size = 0; size < good.size(); size += 37) {
    ASSERT_TRUE(WriteFileDurably(dir_ / "tokenizer.json", good.substr(0, size)).ok());
    const Status status = OpenTokenizer(dir_.path()).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << size;
    EXPECT_NE(Message(status).find("tokenizer.json"), std::string_view::npos) << status;
  }
}

TEST_F(TinyTokenizerTest, FolderWithoutVocabularyIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(OpenTokenizer(dir_.path()).status()));
  EXPECT_TRUE(absl::IsNotFound(OpenTokenizer(dir_ / "absent").status()));
}

// 80: "[PAD]" added by a training script, the embedding not enlarged.
class CasesTokenizer : public TinyTokenizerTest {
 protected:
  CasesTokenizer() {
    json_["added_tokens"].push_back(TinyAddedToken(267, "[PAD]"));
    config_["pad_token"] = "[PAD]";
  }
  StatusOr<std::unique_ptr<Tokenizer>> OpenForRows(int64_t rows) {
    WriteTinyTokenizer(dir_.path(), json_, config_);
    return OpenTokenizer(dir_.path(), rows);
  }
  void ExpectRefusedForRows(int64_t rows, const std::vector<std::string>& parts) {
    const Status status = OpenForRows(rows).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    for (const std::string& part : parts)
      EXPECT_NE(Message(status).find(part), std::string_view::npos) << part << " in: " << status;
  }
};

TEST_F(CasesTokenizer, AddedPadTokenBeyondTheRowsIsAccepted) {
  const auto tokenizer = OpenForRows(267);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocab_size(), 267);
  EXPECT_EQ((*tokenizer)->pad_id(), -1);
  EXPECT_EQ(*(*tokenizer)->Encode("hello[PAD]<|im_end|>"),
            (Ids{kTinyHello, '[', 'P', 'A', 'D', ']', kTinyImEnd}));
  // With a row for it, it is a token like others.
  const auto enlarged = OpenForRows(268);
  ASSERT_TRUE(enlarged.ok()) << enlarged.status();
  EXPECT_EQ((*enlarged)->pad_id(), 267);
  EXPECT_EQ(*(*enlarged)->Encode("[PAD]"), (Ids{267}));
}

TEST_F(CasesTokenizer, TokensBeyondTheRowsThatAreNeededAreRefusedByName) {
  config_["eos_token"] = "[PAD]";
  ExpectRefusedForRows(267,
                       {"eos_token", "\"[PAD]\" has the id 267", "only 267 rows", "resize_token_embeddings"});
  config_["eos_token"] = "<|im_end|>";
  config_["chat_template"] = "{{ '[PAD]' }}";
  ExpectRefusedForRows(267, {"the chat template's", "\"[PAD]\" has the id 267"});
}

TEST_F(CasesTokenizer, AnotherEndTokenTakesThePlaceOfTheFiles) {
  WriteTinyTokenizer(dir_.path(), json_, config_);
  const auto tokenizer = OpenTokenizer(dir_.path(), 268, "<|endoftext|>");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->eos_id(), *(*tokenizer)->TokenId("<|endoftext|>"));
}

// 88: the files of older tokenizers.
class CasesVocabAndMerges : public ::testing::Test {
 protected:
  CasesVocabAndMerges() : json_(TinyTokenizerJson()), config_(TinyTokenizerConfig()) {
    for (const json& token : json_["added_tokens"]) json_["model"]["vocab"][token["content"]] = token["id"];
    config_["tokenizer_class"] = "GPT2Tokenizer";
  }
  StatusOr<std::unique_ptr<Tokenizer>> Open() {
    std::string merges = "#version: 0.2\n";
    for (const json& merge : json_["model"]["merges"]) merges += merge.get<std::string>() + "\n";
    FT_CHECK(WriteFileDurably(dir_ / "vocab.json", json_["model"]["vocab"].dump()).ok());
    FT_CHECK(WriteFileDurably(dir_ / "merges.txt", merges).ok());
    FT_CHECK(WriteFileDurably(dir_ / "tokenizer_config.json", config_.dump()).ok());
    return OpenTokenizer(dir_.path());
  }
  ft::testing::TempDir dir_;
  json json_, config_;
};

TEST_F(CasesVocabAndMerges, GiveTheIdsOfTokenizerJson) {
  const auto tokenizer = Open();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const ft::testing::TempDir other;
  WriteTinyTokenizer(other.path(), TinyTokenizerJson(), TinyTokenizerConfig());
  const auto fast = OpenTokenizer(other.path());
  ASSERT_TRUE(fast.ok()) << fast.status();
  for (const char* text : {"hello world", "  12 ab\n\nor", "hello<|im_end|>", "\xE4\xBD\xA0"}) {
    EXPECT_EQ(*(*tokenizer)->Encode(text), *(*fast)->Encode(text)) << text;
  }
  EXPECT_EQ((*tokenizer)->eos_id(), kTinyImEnd);
}

TEST_F(CasesVocabAndMerges, AddedTokensLieInAFileOfTheirOwn) {
  FT_CHECK(WriteFileDurably(dir_ / "added_tokens.json", R"({"<|tool|>": 267})").ok());
  const auto tokenizer = Open();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(*(*tokenizer)->Encode("ab<|tool|>"), (Ids{263, 267}));
  EXPECT_TRUE((*tokenizer)->is_special(267));
}

TEST_F(CasesVocabAndMerges, AnotherClassIsOneSentenceThatSaysWhatToDo) {
  for (const char* name : {"CodeGenTokenizer", "TokenizersBackend", ""}) {
    config_["tokenizer_class"] = name;
    const std::string said(Message(Open().status()));
    for (const char* part : {"vocab.json and merges.txt", "no tokenizer.json", name, "save_pretrained"}) {
      EXPECT_NE(said.find(part), std::string::npos) << part << " in: " << said;
    }
  }
}

TEST_F(CasesVocabAndMerges, LyingFilesAreRefusedWithTheirNames) {
  json_["model"]["merges"].push_back("q z");
  EXPECT_NE(Message(Open().status()).find("merges[8]"), std::string_view::npos) << Open().status();
  json_ = TinyTokenizerJson();
  json_["model"]["vocab"]["a"] = "x";
  EXPECT_NE(Message(Open().status()).find("vocab.json"), std::string_view::npos) << Open().status();
}

GgufVocabulary TinyGguf() {
  GgufVocabulary vocabulary{.file = "tiny.gguf", .model = "gpt2", .pre = "smollm"};
  const json root = TinyTokenizerJson();
  vocabulary.tokens.resize(267);
  for (const auto& [content, id] : root["model"]["vocab"].items())
    vocabulary.tokens[id.get<size_t>()] = content;
  vocabulary.token_types.assign(267, 1);
  for (const json& token : root["added_tokens"]) {
    vocabulary.tokens[token["id"].get<size_t>()] = token["content"].get<std::string>();
    vocabulary.token_types[token["id"].get<size_t>()] = 3;
  }
  for (const json& merge : root["model"]["merges"]) vocabulary.merges.push_back(merge.get<std::string>());
  vocabulary.bos_id = kTinyImStart;
  vocabulary.eos_id = kTinyImEnd;
  vocabulary.chat_template = "{{ x }}";
  return vocabulary;
}

TEST(GgufTokenizerTest, ReadsTheSameVocabulary) {
  const auto tokenizer = MakeGgufTokenizer(TinyGguf());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(*(*tokenizer)->Encode("hello world<|im_end|>"), (Ids{kTinyHello, 262, 'l', 'd', kTinyImEnd}));
  EXPECT_EQ(*(*tokenizer)->Encode("  12"), (Ids{' ', ' ', '1', '2'}));
  EXPECT_EQ((*tokenizer)->bos_id(), kTinyImStart);
  EXPECT_EQ((*tokenizer)->eos_id(), kTinyImEnd);
  EXPECT_TRUE((*tokenizer)->is_special(kTinyImStart));
  EXPECT_EQ((*tokenizer)->chat_template(), "{{ x }}");
}

TEST(GgufTokenizerTest, LyingMetadataIsRefusedWithItsKey) {
  const auto refused = [](GgufVocabulary vocabulary, std::string_view key) {
    const Status status = MakeGgufTokenizer(vocabulary).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_NE(Message(status).find("tiny.gguf"), std::string_view::npos) << status;
    EXPECT_NE(Message(status).find(key), std::string_view::npos) << status;
  };
  GgufVocabulary changed = TinyGguf();
  changed.model = "bert";
  refused(changed, "tokenizer.ggml.model");
  changed = TinyGguf();
  changed.pre = "no-such-rule";
  refused(changed, "tokenizer.ggml.pre");
  changed = TinyGguf();
  changed.token_types.pop_back();
  refused(changed, "tokenizer.ggml.token_type");
  changed = TinyGguf();
  changed.eos_id = 267;
  refused(changed, "tokenizer.ggml.eos_token_id");
  changed = TinyGguf();
  changed.merges.push_back("q z");
  refused(changed, "tokenizer.ggml.merges[8]");
  changed = TinyGguf();
  changed.tokens[264] = "\xE4";
  refused(changed, "added token 264 is not UTF-8");
  changed = TinyGguf();
  changed.tokens[7] = changed.tokens[8];
  refused(changed, "twice");
}

TEST(TiktokenFileTest, HostileRankFilesAreRefusedWithTheirLine) {
  const ft::testing::TempDir dir;
  const auto refused = [&dir](const std::string& content, std::string_view part) {
    FT_CHECK(WriteFileDurably(dir / "qwen.tiktoken", content).ok());
    const Status status = OpenTokenizer(dir.path()).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_NE(Message(status).find("qwen.tiktoken"), std::string_view::npos) << status;
    EXPECT_NE(Message(status).find(part), std::string_view::npos) << status;
  };
  refused("IQ== 0\nIg==\n", "line 2");
  refused("IQ== 0\n!!! 1\n", "line 2");
  refused("IQ== 0\nIg== 7\n", "line 2");
  refused("IQ== 0\nIg== 0\n", "two tokens");
  refused("IQ== 0\nIQ== 1\n", "twice");
  refused("IQ== 0\nIg== 1\n", "no rank for the byte");
}

}  // namespace
}  // namespace ft::tokenizer
