#include "tests/fuzz/parsers.h"

#include "tests/fuzz/readers.h"

namespace ft::fuzz {
namespace {

constexpr Parser kParsers[] = {
    {"safetensors", "model.safetensors", ReadSafetensors},
    {"mxfp4", "model.safetensors", ReadMxfp4},
    {"torch", "pytorch_model.bin", ReadTorch},
    {"pickle", "data.pkl", ReadPickle},
    {"gguf", "model.gguf", ReadGguf},
    {"weight_index", "model.safetensors.index.json", ReadWeightIndex},
    {"model_config", "config.json", ReadModelConfig},
    {"adapter_config", "adapter_config.json", ReadAdapterConfig},
    {"tokenizer", "tokenizer.json", ReadTokenizer},
    {"merges", "merges.txt", ReadMerges},
    {"tiktoken", "qwen.tiktoken", ReadTokenizer},
    {"sentencepiece", "tokenizer.model", ReadTokenizer},
    {"tokenizer_config", "tokenizer_config.json", ReadTokenizerConfig},
    {"chat_template", "chat_template.jinja", ReadChatTemplate},
    {"jinja", "template.jinja", ReadJinja},
    {"encode", "text.txt", EncodeText},
    {"json", "data.json", ReadDataRecords},
    {"csv", "data.csv", ReadDataRecords},
    {"txt", "data.txt", ReadDataRecords},
    {"xlsx", "data.xlsx", ReadDataRecords},
    {"parquet", "data.parquet", ReadDataRecords},
    {"sheet", "sheet.parts", ReadSheetParts},
    {"number_format", "number.bin", ReadNumberFormat},
    {"tokens", "tokens.jsonl", ReadTokenSamples},
    {"prepare", "data.jsonl", PrepareData},
    {"prompts", "prompts.jsonl", ReadPromptFile},
    {"mmlu", "questions.json", ReadMmluFile},
    {"python", "literal.txt", ReadPythonLiteral},
    {"agent", "record.txt", ReadAgentRecord},
    {"cache", "data.ftt", ReadTokenCache},
    {"job", "job.yaml", ReadJobFile},
    {"overrides", "set.txt", ReadOverrides},
    {"recipe", "recipe.yaml", ReadRecipe},
    {"deepspeed", "ds_config.json", ReadDeepspeed},
    {"resolved_job", "job.json", ReadResolvedJob},
    {"config", "finetuned.yaml", ReadDaemonConfig},
    {"spool", "records.ftr", ReadSpool},
    {"journal", "1.ftr", ReadJournal},
    {"log_gaps", "stdout.gaps", ReadLogGaps},
    {"transfer", "file.part.state", ReadTransfer},
    {"record", "record.pb", ReadRecord},
    {"ledger", "entry.json", ReadLedgerEntry},
    {"rank_state", "rank.json", ReadRankState},
    {"hub_listing", "listing.json", ReadHubListing},
    {"hub_headers", "headers.txt", ReadHubHeaders},
    {"hub_partial", "x.finetuned-ranges", ReadHubPartial},
    {"terminal", "text.txt", ShowText},
};

}  // namespace

std::span<const Parser> Parsers() { return kParsers; }

}  // namespace ft::fuzz
