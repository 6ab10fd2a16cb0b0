#include "worker/data/readers/parquet_footer.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "worker/data/readers/thrift_compact.h"

namespace ft::data {
namespace {

using Kind = ThriftReader::Kind;

constexpr std::string_view kMagic = "PAR1";
constexpr size_t kTailBytes = 8;  // The footer's length and the magic.
constexpr uint64_t kMaxFooterBytes = uint64_t{64} << 20;
constexpr size_t kMaxElements = 16384;
constexpr size_t kMaxChunks = size_t{1} << 20;
// Of a page, with the statistics that some writers put there.
constexpr uint64_t kFirstHeaderBytes = 1024;
constexpr uint64_t kMaxHeaderBytes = uint64_t{8} << 20;

ParquetType TypeOf(int64_t number) {
  return number >= 0 && number <= 7 ? static_cast<ParquetType>(number) : ParquetType::kNone;
}

// The older way to say what values mean: ConvertedType.
void TakeConverted(int64_t converted, ParquetElement* element) {
  switch (converted) {
    case 0:                                                     // UTF8
    case 4:                                                     // ENUM
    case 19: element->meaning = ParquetMeaning::kText; return;  // JSON
    case 1:                                                     // MAP
    case 2: element->meaning = ParquetMeaning::kMap; return;    // MAP_KEY_VALUE
    case 3: element->meaning = ParquetMeaning::kList; return;
    case 5: element->meaning = ParquetMeaning::kDecimal; return;
    case 6: element->meaning = ParquetMeaning::kDate; return;
    case 7:
    case 8:
      element->meaning = ParquetMeaning::kTime;
      element->per_second = converted == 7 ? 1000 : 1000000;
      return;
    case 9:
    case 10:
      element->meaning = ParquetMeaning::kTimestamp;
      element->per_second = converted == 9 ? 1000 : 1000000;
      return;
    case 11:
    case 12:
    case 13:
    case 14: element->meaning = ParquetMeaning::kUnsigned; return;
    case 20:
      element->meaning = ParquetMeaning::kOther;
      element->meaning_name = "BSON";
      return;
    case 21:
      element->meaning = ParquetMeaning::kOther;
      element->meaning_name = "INTERVAL";
      return;
    default: return;  // Signed numbers.
  }
}

// TimeType and TimestampType; their unit is a union of empty structs.
void TakeTime(ThriftReader& in, ParquetElement* element) {
  in.Struct([&](int64_t id, Kind kind) {
    if (id != 2 || kind != Kind::kStruct) return;
    in.Struct([&](int64_t unit, Kind) {
      element->per_second = unit == 1 ? 1000 : unit == 2 ? 1000000 : 1000000000;
    });
  });
}

void TakeDecimal(ThriftReader& in, ParquetElement* element) {
  in.Struct([&](int64_t id, Kind kind) {
    if (id == 1) element->scale = in.Integer(kind);
  });
}

void TakeInteger(ThriftReader& in, ParquetElement* element) {
  in.Struct([&](int64_t id, Kind kind) {
    if (id == 2 && !ThriftReader::Bool(kind)) element->meaning = ParquetMeaning::kUnsigned;
  });
}

// The newer way: LogicalType, a union whose field says which.
void TakeLogical(ThriftReader& in, ParquetElement* element) {
  constexpr std::pair<int64_t, std::string_view> kNotRead[] = {
      {13, "BSON"}, {15, "FLOAT16"}, {16, "VARIANT"}, {17, "GEOMETRY"}, {18, "GEOGRAPHY"}};
  in.Struct([&](int64_t id, Kind kind) {
    if (kind != Kind::kStruct) return;
    ParquetMeaning& meaning = element->meaning;
    switch (id) {
      case 1:
      case 4:
      case 12: meaning = ParquetMeaning::kText; return;  // STRING, ENUM, JSON
      case 2: meaning = ParquetMeaning::kMap; return;
      case 3: meaning = ParquetMeaning::kList; return;
      case 5: meaning = ParquetMeaning::kDecimal; return TakeDecimal(in, element);
      case 6: meaning = ParquetMeaning::kDate; return;
      case 7: meaning = ParquetMeaning::kTime; return TakeTime(in, element);
      case 8: meaning = ParquetMeaning::kTimestamp; return TakeTime(in, element);
      case 10: meaning = ParquetMeaning::kPlain; return TakeInteger(in, element);
      case 11: meaning = ParquetMeaning::kNull; return;
      case 14: meaning = ParquetMeaning::kUuid; return;
      default: break;
    }
    meaning = ParquetMeaning::kOther;
    element->meaning_name = "a later version of the format";
    for (const auto& [number, name] : kNotRead) {
      if (number == id) element->meaning_name = name;
    }
  });
}

ParquetElement TakeElement(ThriftReader& in) {
  ParquetElement element;
  bool logical = false;
  in.Struct([&](int64_t id, Kind kind) {
    switch (id) {
      case 1: element.type = TypeOf(in.Integer(kind)); return;
      case 2: element.length = in.Integer(kind); return;
      case 3: {
        const int64_t repetition = in.Integer(kind);
        element.optional = repetition == 1;
        element.repeated = repetition == 2;
        return;
      }
      case 4: element.name = std::string(in.Binary(kind)); return;
      case 5: element.children = in.Integer(kind); return;
      case 6: {
        const int64_t converted = in.Integer(kind);
        if (!logical) TakeConverted(converted, &element);
        return;
      }
      case 7: element.scale = in.Integer(kind); return;
      case 10:
        if (kind != Kind::kStruct) return;
        logical = true;
        return TakeLogical(in, &element);
      default: return;
    }
  });
  return element;
}

void TakeColumnMeta(ThriftReader& in, ParquetChunk* chunk) {
  in.Struct([&](int64_t id, Kind kind) {
    switch (id) {
      case 1: chunk->type = TypeOf(in.Integer(kind)); return;
      case 4: chunk->codec = in.Integer(kind); return;
      case 5: chunk->values = in.Integer(kind); return;
      case 7: chunk->bytes = in.Integer(kind); return;
      case 9: chunk->data_at = in.Integer(kind); return;
      case 11: chunk->dictionary_at = in.Integer(kind); return;
      default: return;
    }
  });
}

ParquetChunk TakeChunk(ThriftReader& in) {
  ParquetChunk chunk;
  in.Struct([&](int64_t id, Kind kind) {
    if (id == 1 && !in.Binary(kind).empty()) chunk.elsewhere = true;
    if (id == 3 && kind == Kind::kStruct) TakeColumnMeta(in, &chunk);
    if (id == 8 || id == 9) chunk.elsewhere = true;
  });
  return chunk;
}

ParquetGroup TakeGroup(ThriftReader& in, size_t* chunks) {
  ParquetGroup group;
  in.Struct([&](int64_t id, Kind kind) {
    if (id == 1) {
      in.List(kind, [&](Kind) {
        if (++*chunks > kMaxChunks) return in.Fail();
        group.columns.push_back(TakeChunk(in));
      });
    }
    if (id == 3) group.rows = in.Integer(kind);
  });
  return group;
}

bool TakeFooter(std::string_view bytes, ParquetFooter* footer) {
  ThriftReader in(bytes);
  size_t chunks = 0;
  in.Struct([&](int64_t id, Kind kind) {
    if (id == 2) {
      in.List(kind, [&](Kind) {
        if (footer->schema.size() == kMaxElements) return in.Fail();
        footer->schema.push_back(TakeElement(in));
      });
    }
    if (id == 4) {
      in.List(kind, [&](Kind) {
        if (++chunks > kMaxChunks) return in.Fail();  // A group without columns counts as one.
        footer->groups.push_back(TakeGroup(in, &chunks));
      });
    }
  });
  return in.ok();
}

void TakeDataHeader(ThriftReader& in, ParquetPage* page) {
  in.Struct([&](int64_t id, Kind kind) {
    if (id == 1) page->values = in.Integer(kind);
    if (id == 2) page->encoding = in.Integer(kind);
    // Of both levels: other encodings than RLE are refused all the same.
    if (id == 3 || id == 4) {
      const int64_t encoding = in.Integer(kind);
      if (encoding != 3) page->level_encoding = encoding;
    }
  });
}

void TakeDataHeaderV2(ThriftReader& in, ParquetPage* page) {
  in.Struct([&](int64_t id, Kind kind) {
    switch (id) {
      case 1: page->values = in.Integer(kind); return;
      case 4: page->encoding = in.Integer(kind); return;
      case 5: page->definition_bytes = in.Integer(kind); return;
      case 6: page->repetition_bytes = in.Integer(kind); return;
      case 7: page->is_packed = ThriftReader::Bool(kind); return;
      default: return;
    }
  });
}

void TakeDictionaryHeader(ThriftReader& in, ParquetPage* page) {
  in.Struct([&](int64_t id, Kind kind) {
    if (id == 1) page->values = in.Integer(kind);
    if (id == 2) page->encoding = in.Integer(kind);
  });
}

ParquetPage TakePage(ThriftReader& in) {
  ParquetPage page;
  in.Struct([&](int64_t id, Kind kind) {
    switch (id) {
      case 1: {
        const int64_t type = in.Integer(kind);
        page.kind = type == 0   ? ParquetPage::Kind::kData
                    : type == 2 ? ParquetPage::Kind::kDictionary
                    : type == 3 ? ParquetPage::Kind::kDataV2
                                : ParquetPage::Kind::kOther;
        return;
      }
      case 2: page.size = in.Integer(kind); return;
      case 3: page.packed = in.Integer(kind); return;
      case 5:
        if (kind == Kind::kStruct) TakeDataHeader(in, &page);
        return;
      case 7:
        if (kind == Kind::kStruct) TakeDictionaryHeader(in, &page);
        return;
      case 8:
        if (kind == Kind::kStruct) TakeDataHeaderV2(in, &page);
        return;
      default: return;
    }
  });
  page.header_bytes = in.position();
  return page;
}

}  // namespace

StatusOr<ParquetFooter> ReadParquetFooter(const RandomAccessFile& file) {
  const auto broken = [&](std::string_view why) {
    return absl::InvalidArgumentError(StrCat(file.path().string(), " ", why));
  };
  const std::string cut = "is no whole parquet file: it was probably cut off; download or copy it again";
  if (file.size() < kMagic.size() + kTailBytes) return broken(cut);
  char tail[kTailBytes];
  RETURN_IF_ERROR(file.ReadAt(file.size() - kTailBytes, std::as_writable_bytes(std::span(tail))));
  const std::string_view magic(tail + 4, kMagic.size());
  if (magic == "PARE") return broken("is encrypted; write it without encryption");
  if (magic != kMagic) return broken(cut);
  uint32_t size = 0;
  std::memcpy(&size, tail, sizeof(size));
  if (size > file.size() - kTailBytes - kMagic.size()) return broken(cut);
  if (size > kMaxFooterBytes)
    return broken("describes itself in more than 64 MiB; write it in fewer groups of rows");
  std::string bytes(size, '\0');
  ParquetFooter footer;
  footer.begin = file.size() - kTailBytes - size;
  RETURN_IF_ERROR(file.ReadAt(footer.begin, std::as_writable_bytes(std::span(bytes))));
  if (!TakeFooter(bytes, &footer) || footer.schema.empty())
    return broken("is damaged: its description cannot be read; download or copy it again");
  return footer;
}

StatusOr<std::optional<ParquetPage>> ReadParquetPage(const RandomAccessFile& file, uint64_t at,
                                                     uint64_t end) {
  for (uint64_t size = kFirstHeaderBytes; at < end; size *= 8) {
    std::string bytes(std::min(size, end - at), '\0');
    RETURN_IF_ERROR(file.ReadAt(at, std::as_writable_bytes(std::span(bytes))));
    ThriftReader in(bytes);
    const ParquetPage page = TakePage(in);
    if (in.ok()) return page;
    if (!in.ended() || size >= kMaxHeaderBytes || bytes.size() < size) break;
  }
  return std::optional<ParquetPage>();
}

}  // namespace ft::data
