#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/base/file.h"
#include "tests/fuzz/readers.h"
#include "tests/support/temp_dir.h"
#include "worker/data/chat/chat_template.h"
#include "worker/data/jinja/jinja.h"
#include "worker/data/jinja/jinja_fixture.h"
#include "worker/data/prepare/model_files.h"
#include "worker/data/tokenizer/tiny_tokenizer.h"
#include "worker/data/tokenizer/tokenizer.h"
#include "worker/model/decoder/family.h"
#include "worker/model/decoder/fused_experts.h"
#include "worker/model/params/peft_config.h"
#include "worker/model/weights/safetensors.h"

namespace ft::fuzz {
namespace {

namespace fs = std::filesystem;

// Small enough that an input of 64 KiB ends within seconds under the sanitizers.
constexpr data::JinjaLimits kLimits = {.max_steps = 100'000, .max_output_bytes = 1 << 20, .max_nesting = 200};

constexpr std::string_view kSpacedText = "  A  HHell <x><s>ab  \xef\xac\x81\t ";
constexpr std::string_view kText = "Hello <|im_end|> \xe4\xbd\xa0\xe5\xa5\xbd 123";

constexpr std::string_view kExpertsConfig =
    R"({"model_type": "gpt_oss", "vocab_size": 8, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 16, "intermediate_size": 32, "num_local_experts": 2, "num_experts_per_tok": 1})";

const data::Conversation& TwoTurns() {
  static const data::Conversation turns = {{.system = "S", .input = "Q1", .output = "A1"},
                                           {.input = "Q2", .output = "\xe7\xad\x94"}};
  return turns;
}

// Renders and tokenises with the template that came with the tokenizer, as prepare and chat do.
Status UseOwnTemplate(const tokenizer::Tokenizer& tokenizer) {
  ASSIGN_OR_RETURN(const data::ChatTemplate chat, data::ChatTemplate::Open("model", tokenizer));
  ASSIGN_OR_RETURN(const data::Rendered rendered, chat.Render(TwoTurns()));
  size_t end = 0;
  for (const data::ByteSpan& span : rendered.supervised) {
    FT_CHECK(span.begin >= end && span.begin <= span.end && span.end <= rendered.text.size());
    end = span.end;
  }
  RETURN_IF_ERROR(chat.RenderPrompt(TwoTurns(), {.input = "Q3"}).status());
  chat.StopIds(tokenizer);
  return data::TokenizeConversation(tokenizer, chat, TwoTurns(), data::TokenizeMode::kWhole).status();
}

// A vocabulary beside which `path` is read; written once a folder.
Status WriteVocabularyBeside(const fs::path& path, const nlohmann::json& config) {
  const fs::path folder = path.parent_path();
  std::error_code error;
  if (fs::exists(folder / "tokenizer.json", error)) return absl::OkStatus();
  RETURN_IF_ERROR(WriteFileDurably(folder / "tokenizer.json", tokenizer::TinyTokenizerJson().dump()));
  if (config.is_null()) return absl::OkStatus();
  return WriteFileDurably(folder / "tokenizer_config.json", config.dump());
}

std::unique_ptr<tokenizer::Tokenizer> OpenWith(const nlohmann::json& normalizer) {
  const ft::testing::TempDir dir;
  nlohmann::json root = tokenizer::TinyTokenizerJson();
  root["normalizer"] = normalizer;
  tokenizer::WriteTinyTokenizer(dir.path(), root, tokenizer::TinyTokenizerConfig());
  auto opened = tokenizer::OpenTokenizer(dir.path());
  FT_CHECK(opened.ok()) << opened.status();
  return *std::move(opened);
}

// Without normalisation every text comes back from its ids; with it, at least every token lies within the
// text.
Status EncodeWith(const tokenizer::Tokenizer& tokenizer, std::string_view text, bool comes_back) {
  ASSIGN_OR_RETURN(const std::vector<int32_t> plain, tokenizer.Encode(text, {.parse_special = false}));
  if (comes_back) FT_CHECK(tokenizer.Decode(plain) == text);
  ASSIGN_OR_RETURN(const std::vector<tokenizer::EncodedToken> tokens, tokenizer.EncodeWithOffsets(text));
  for (const tokenizer::EncodedToken& token : tokens) {
    FT_CHECK(token.begin <= token.end && token.end <= text.size()) << token.begin << " " << token.end;
    FT_CHECK(token.id >= 0 && token.id < tokenizer.vocab_size()) << token.id;
  }
  return absl::OkStatus();
}

}  // namespace

Status ReadModelConfig(const fs::path& path) {
  prepare::VocabSizeOf(path.parent_path()).IgnoreError();
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model::ParseConfig(text, "config.json"));
  model::LayoutName(config, "model.layers.0.self_attn.rotary_emb.inv_freq");
  for (const model::StoredWeight& weight : model::LayoutOf(config)) {
    int64_t rows = 0;
    for (const model::Piece& piece : weight.pieces) rows += piece.rows();
    FT_CHECK(weight.pieces.empty() || rows == weight.shape[0]) << weight.name;
  }
  return absl::OkStatus();
}

Status ReadMxfp4(const fs::path& path) {
  constexpr uint64_t kMaxTensorBytes = 1 << 20;
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model::ParseConfig(kExpertsConfig, "config.json"));
  const model::Layout layout = model::LayoutOf(config);
  ASSIGN_OR_RETURN(const auto file, weights::SafetensorsFile::Open(path));
  ASSIGN_OR_RETURN(const auto split, model::SplitExperts(layout, *file));
  if (split == nullptr) return absl::OkStatus();
  for (const weights::TensorInfo& info : split->tensors()) {
    std::vector<float> values(info.elements() > kMaxTensorBytes ? 0 : info.elements());
    if (!values.empty())
      weights::ReadFloat32(*split, info, values).IgnoreError();  // Whole numbers are refused.
  }
  return absl::OkStatus();
}

Status ReadAdapterConfig(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  ASSIGN_OR_RETURN(const params::PeftConfig config, params::ParsePeftConfig(text, "adapter_config.json"));
  const StatusOr<params::PeftConfig> again =
      params::ParsePeftConfig(params::PeftConfigJson(config), "adapter_config.json");
  FT_CHECK(again.ok() && again->rank == config.rank) << again.status();
  return absl::OkStatus();
}

Status ReadTokenizer(const fs::path& path) {
  ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::OpenTokenizer(path.parent_path()));
  for (const std::string_view text : {kText, kSpacedText})
    RETURN_IF_ERROR(EncodeWith(*tokenizer, text, /*comes_back=*/false));
  ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokenizer->Encode(kText));
  tokenizer->Decode(ids);
  return absl::OkStatus();
}

Status ReadMerges(const fs::path& path) {
  const fs::path folder = path.parent_path();
  const nlohmann::json vocabulary = tokenizer::TinyTokenizerJson()["model"]["vocab"];
  RETURN_IF_ERROR(WriteFileDurably(folder / "vocab.json", vocabulary.dump()));
  RETURN_IF_ERROR(
      WriteFileDurably(folder / "tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer"})"));
  return ReadTokenizer(path);
}

Status ReadTokenizerConfig(const fs::path& path) {
  RETURN_IF_ERROR(WriteVocabularyBeside(path, nullptr));
  ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::OpenTokenizer(path.parent_path()));
  return UseOwnTemplate(*tokenizer);
}

Status ReadChatTemplate(const fs::path& path) {
  RETURN_IF_ERROR(WriteVocabularyBeside(path, tokenizer::TinyTokenizerConfig()));
  ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::OpenTokenizer(path.parent_path()));
  return UseOwnTemplate(*tokenizer);
}

Status ReadJinja(const fs::path& path) {
  static const data::jinja::Dict variables = data::ChatVariables("Gr\xc3\xbc\xc3\x9f dich");
  ASSIGN_OR_RETURN(const std::string source, ReadFile(path));
  ASSIGN_OR_RETURN(const data::JinjaTemplate parsed, data::JinjaTemplate::Parse(source));
  ASSIGN_OR_RETURN(const data::JinjaTemplate::Output output,
                   parsed.Render(variables, {.limits = kLimits, .now = std::tm{}}));
  for (const data::OutputRange& range : output.generated) {
    FT_CHECK(range.begin <= range.end && range.end <= output.text.size()) << range.begin << " " << range.end;
  }
  return absl::OkStatus();
}

Status EncodeText(const fs::path& path) {
  static const auto plain = OpenWith(nullptr);
  static const auto nfc = OpenWith({{"type", "NFC"}});
  static const auto nfkc = OpenWith({{"type", "NFKC"}});
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  RETURN_IF_ERROR(EncodeWith(*plain, text, /*comes_back=*/true));
  RETURN_IF_ERROR(EncodeWith(*nfc, text, /*comes_back=*/false));
  return EncodeWith(*nfkc, text, /*comes_back=*/false);
}

}  // namespace ft::fuzz
