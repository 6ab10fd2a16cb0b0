// Small SentencePiece models for tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/str_cat.h"
#include "worker/data/tokenizer/sentencepiece_model.h"

namespace ft::tokenizer {

// <unk>, <s>, </s>, with `bytes` the 256 bytes from id 3 on, then the given pieces; BPE as in Llama.
inline SentencePieceModel TinySentencePiece(const std::vector<SentencePieceModel::Piece>& pieces,
                                            bool bytes) {
  using Kind = SentencePieceModel::Kind;
  SentencePieceModel model{.algorithm = SentencePieceModel::Algorithm::kBpe,
                           .byte_fallback = bytes,
                           .bos_id = 1,
                           .eos_id = 2,
                           .remove_extra_whitespaces = false};
  model.pieces = {{"<unk>", 0, Kind::kUnknown}, {"<s>", 0, Kind::kControl}, {"</s>", 0, Kind::kControl}};
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (size_t byte = 0; bytes && byte < 256; ++byte) {
    model.pieces.push_back(
        {StrCat("<0x", kDigits.substr(byte / 16, 1), kDigits.substr(byte % 16, 1), ">"), 0, Kind::kByte});
  }
  model.pieces.insert(model.pieces.end(), pieces.begin(), pieces.end());
  return model;
}

}  // namespace ft::tokenizer
