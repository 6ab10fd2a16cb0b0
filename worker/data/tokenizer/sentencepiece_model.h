// Reader of SentencePiece's model files (tokenizer.model): a protocol buffer with the pieces, their scores and
// kinds, which algorithm cuts with them, and what is done to a text before (Kudo and Richardson 2018,
// arXiv:1808.06226; field numbers as in its sentencepiece_model.proto).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace ft::tokenizer {

struct SentencePieceModel {
  // Numbers as in the file.
  enum class Kind : uint8_t {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };
  struct Piece {
    std::string text;  // With U+2581 for a space. Of kind kByte: "<0x0A>".
    float score = 0;
    Kind kind = Kind::kNormal;
  };
  enum class Algorithm : uint8_t { kUnigram = 1, kBpe = 2 };

  std::string file;  // For messages.
  std::vector<Piece> pieces;
  Algorithm algorithm = Algorithm::kUnigram;
  bool byte_fallback =
      false;  // What no piece spells is written as bytes. All 256 byte pieces are there then.
  // Ids of pieces; -1 = there is none.
  int32_t unk_id = -1, bos_id = -1, eos_id = -1, pad_id = -1;
  // The normaliser (sentencepiece_normalizer.h).
  std::string charsmap;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;

  // The byte that a piece of kind kByte stands for.
  static int ByteOf(const Piece& piece);
};

// Whether a file's content begins like such a model.
bool LooksLikeSentencePiece(std::string_view content);

// INVALID_ARGUMENT, naming file and piece: content that is cut off or no such model, pieces that are empty,
// longer than 512 bytes, given twice, no UTF-8 or without a finite score, no or several unknown pieces, ids
// outside the pieces, byte pieces that are missing; what is not supported (word and character models, unused pieces,
// spaces behind words, a denormaliser).
StatusOr<SentencePieceModel> ParseSentencePiece(std::string_view content, const std::string& file);

// What ParseSentencePiece checks of a model that comes from elsewhere; takes ids that name no control piece away.
Status CheckSentencePiece(SentencePieceModel& model);

// The content of a file that holds the model.
std::string WriteSentencePiece(const SentencePieceModel& model);

}  // namespace ft::tokenizer
