// What parsers.cc lists: each function reads one file whole, as the programs do, and answers what they would
// answer. A broken promise of a header (a span outside its text, a text that does not come back) ends the
// process.
#pragma once

#include <filesystem>

#include "core/base/status.h"

namespace ft::fuzz {

// Weights (read_weights.cc). Tensors of more than 1 MiB are not read.
Status ReadSafetensors(const std::filesystem::path& path);
Status ReadMxfp4(
    const std::filesystem::path& path);  // Experts in one tensor, MXFP4 or floats, as a small model has them.
Status ReadTorch(const std::filesystem::path& path);
Status ReadPickle(const std::filesystem::path& path);
Status ReadGguf(const std::filesystem::path& path);
Status ReadWeightIndex(const std::filesystem::path& path);

// What lies beside weights (read_models.cc): configurations, vocabularies, templates.
Status ReadModelConfig(const std::filesystem::path& path);
Status ReadAdapterConfig(const std::filesystem::path& path);
// Experts in one tensor, as MXFP4 or floats, of a small model.
Status ReadMxfp4(const std::filesystem::path& path);
Status ReadTokenizer(const std::filesystem::path& path);
Status ReadMerges(const std::filesystem::path& path);
Status ReadTokenizerConfig(const std::filesystem::path& path);
Status ReadChatTemplate(const std::filesystem::path& path);
Status ReadJinja(const std::filesystem::path& path);
Status EncodeText(const std::filesystem::path& path);

// A user's data (read_data.cc).
Status ReadDataRecords(const std::filesystem::path& path);
Status ReadSheetParts(const std::filesystem::path& path);
Status ReadNumberFormat(const std::filesystem::path& path);
Status ReadTokenSamples(const std::filesystem::path& path);
Status PrepareData(const std::filesystem::path& path);
Status ReadPromptFile(const std::filesystem::path& path);
Status ReadMmluFile(const std::filesystem::path& path);
Status ReadPythonLiteral(const std::filesystem::path& path);
Status ReadAgentRecord(const std::filesystem::path& path);
Status ReadTokenCache(const std::filesystem::path& path);

// Settings, and what the programs leave each other (read_control.cc).
Status ReadJobFile(const std::filesystem::path& path);
Status ReadRecipe(const std::filesystem::path& path);
Status ReadOverrides(const std::filesystem::path& path);
Status ReadDeepspeed(const std::filesystem::path& path);
Status ReadResolvedJob(const std::filesystem::path& path);
Status ReadDaemonConfig(const std::filesystem::path& path);
Status ReadSpool(const std::filesystem::path& path);
Status ReadRecord(const std::filesystem::path& path);
Status ReadLedgerEntry(const std::filesystem::path& path);
Status ReadRankState(const std::filesystem::path& path);
Status ShowText(const std::filesystem::path& path);

// What hubs answer, and what an earlier download left (read_hub.cc).
Status ReadHubListing(const std::filesystem::path& path);
Status ReadHubHeaders(const std::filesystem::path& path);
Status ReadHubPartial(const std::filesystem::path& path);

// What the coordinator finds in its own folder after a crash (read_spool.cc).
Status ReadJournal(const std::filesystem::path& path);
Status ReadLogGaps(const std::filesystem::path& path);
Status ReadTransfer(const std::filesystem::path& path);

}  // namespace ft::fuzz
