// What tokenizer.json says about its model: the key model with the vocabulary, and the tokens added to it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "core/base/status.h"
#include "worker/data/tokenizer/json_fields.h"
#include "worker/data/tokenizer/subword_model.h"
#include "worker/data/tokenizer/vocabulary_builder.h"

namespace ft::tokenizer {

// Supported: BPE (merges as strings or pairs, ignore_merges, unk_token, fuse_unk, byte_fallback) and Unigram
// (unk_id, byte_fallback). INVALID_ARGUMENT names the key.
Status CheckModel(const JsonObject& model);
bool IsUnigram(const JsonObject& model);
// The pieces. `byte_level`: they are written in the alphabet of byte_level.h.
Status ReadPieces(const JsonObject& model, bool byte_level, VocabularyBuilder* builder);
// The model of the builder's vocabulary, which is taken. REQUIRES: ReadPieces.
StatusOr<std::unique_ptr<SubwordModel>> MakeModel(const JsonObject& model, bool byte_level,
                                                  VocabularyBuilder* builder);
// By byte the id of its token (<0x0A>), -1 = there is none.
std::array<int32_t, 256> ByteTokens(const VocabularyBuilder& builder);

}  // namespace ft::tokenizer
