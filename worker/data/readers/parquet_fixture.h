// Writes small .parquet files for tests, page by page: what a page holds is given as bytes, so that every way to write a value can be
// tried, and every wrong one. tests/checks compares with the files of a real writer.
#pragma once

#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/check.h"

namespace ft::data {

inline std::string ThriftNumber(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>((value & 0x7F) | 0x80));
  out.push_back(static_cast<char>(value));
  return out;
}

inline std::string ZigZagNumber(int64_t value) {
  return ThriftNumber(static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63));
}

// A struct of thrift's compact protocol. Fields are added by rising id.
class ThriftStruct {
 public:
  ThriftStruct& I32(int id, int64_t value) { return Field(id, 5, ZigZagNumber(value)); }
  ThriftStruct& I64(int id, int64_t value) { return Field(id, 6, ZigZagNumber(value)); }
  ThriftStruct& Byte(int id, int value) { return Field(id, 3, std::string(1, static_cast<char>(value))); }
  ThriftStruct& Bool(int id, bool value) { return Field(id, value ? 1 : 2, ""); }
  ThriftStruct& Text(int id, std::string_view value) {
    return Field(id, 8, ThriftNumber(value.size()) + std::string(value));
  }
  ThriftStruct& Struct(int id, const ThriftStruct& value) { return Field(id, 12, value.End()); }
  ThriftStruct& List(int id, int kind, const std::vector<std::string>& items) {
    std::string content =
        items.size() < 15 ? std::string(1, static_cast<char>(items.size() << 4 | static_cast<size_t>(kind)))
                          : static_cast<char>(0xF0 | kind) + ThriftNumber(items.size());
    for (const std::string& item : items) content += item;
    return Field(id, 9, content);
  }
  std::string End() const { return out_ + '\0'; }

 private:
  ThriftStruct& Field(int id, int kind, const std::string& content) {
    const int step = id - last_;
    out_ += step < 16 ? std::string(1, static_cast<char>(step << 4 | kind))
                      : static_cast<char>(kind) + ZigZagNumber(id);
    out_ += content;
    last_ = id;
    return *this;
  }
  std::string out_;
  int last_ = 0;
};

// Runs of equal numbers below 256, as levels and dictionary indices are written.
inline std::string ParquetRunBytes(const std::vector<int>& values) {
  std::string out;
  for (size_t at = 0; at < values.size();) {
    size_t end = at;
    while (end < values.size() && values[end] == values[at]) ++end;
    out += ThriftNumber((end - at) << 1) + static_cast<char>(values[at]);
    at = end;
  }
  return out;
}

inline std::string Plain32(uint32_t value) { return {reinterpret_cast<const char*>(&value), sizeof(value)}; }
template <typename T>
std::string PlainNumbers(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}
inline std::string PlainTexts(const std::vector<std::string>& values) {
  std::string out;
  for (const std::string& value : values) out += Plain32(static_cast<uint32_t>(value.size())) + value;
  return out;
}

inline std::string PackedForParquet(int codec, const std::string& bytes) {
  if (codec == 1) {
    std::string out(snappy_max_compressed_length(bytes.size()), '\0');
    size_t size = out.size();
    FT_CHECK(snappy_compress(bytes.data(), bytes.size(), out.data(), &size) == SNAPPY_OK);
    out.resize(size);
    return out;
  }
  if (codec == 6) {
    std::string out(ZSTD_compressBound(bytes.size()), '\0');
    const size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 1);
    FT_CHECK(ZSTD_isError(size) == 0);
    out.resize(size);
    return out;
  }
  if (codec != 2) return bytes;
  constexpr int kGzip = 15 + 16;
  z_stream stream = {};
  FT_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  FT_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

struct PageToWrite {
  int64_t entries = 0;
  std::string values;
  std::string repetitions, definitions;  // Runs; empty = the column has none.
  int encoding = 0;
  bool v2 = false, dictionary = false;
  int64_t claimed_size = -1;  // Unpacked, where it lies.
};

struct ColumnToWrite {
  int type = 6;
  int codec = 0;
  std::vector<PageToWrite> pages;
};

inline std::string PageBytes(const PageToWrite& page, int codec) {
  std::string levels, values = page.values;
  for (const std::string* runs : {&page.repetitions, &page.definitions}) {
    if (page.v2) {
      levels += *runs;
    } else if (!runs->empty()) {
      levels += Plain32(static_cast<uint32_t>(runs->size())) + *runs;
    }
  }
  const auto size = static_cast<int64_t>(levels.size() + values.size());
  const std::string packed =
      page.v2 ? levels + PackedForParquet(codec, values) : PackedForParquet(codec, levels + values);
  ThriftStruct header, about;
  header.I32(1, page.dictionary ? 2 : page.v2 ? 3 : 0);
  header.I32(2, page.claimed_size >= 0 ? page.claimed_size : size);
  header.I32(3, static_cast<int64_t>(packed.size()));
  about.I32(1, page.entries);
  if (page.dictionary) {
    header.Struct(7, about.I32(2, page.encoding));
  } else if (page.v2) {
    about.I32(2, 0).I32(3, page.entries).I32(4, page.encoding);
    about.I32(5, static_cast<int64_t>(page.definitions.size()))
        .I32(6, static_cast<int64_t>(page.repetitions.size()));
    header.Struct(8, about);
  } else {
    header.Struct(5, about.I32(2, page.encoding).I32(3, 3).I32(4, 3));
  }
  return header.End() + packed;
}

// A SchemaElement. `children` 0 = it holds values of the type. repetition: 0 required, 1 optional, 2 repeated; converted -1 = none.
struct ElementToWrite {
  std::string name;
  int repetition = 1;
  int type = 6;
  int children = 0;
  int converted = -1;
  int length = 0, scale = 0;
  ThriftStruct logical;
  bool has_logical = false;
};

inline std::string ElementBytes(const ElementToWrite& element) {
  ThriftStruct out;
  if (element.children == 0) out.I32(1, element.type);
  if (element.length > 0) out.I32(2, element.length);
  out.I32(3, element.repetition).Text(4, element.name);
  if (element.children > 0) out.I32(5, element.children);
  if (element.converted >= 0) out.I32(6, element.converted);
  if (element.scale > 0) out.I32(7, element.scale);
  if (element.has_logical) out.Struct(10, element.logical);
  return out.End();
}

// A file of one or more groups; each gives the rows, and the columns in the order of the schema's leaves.
struct GroupToWrite {
  int64_t rows = 0;
  std::vector<ColumnToWrite> columns;
};
struct FileToWrite {
  int top_columns = 0;
  std::vector<ElementToWrite> elements;  // Without the root.
  std::vector<GroupToWrite> groups;
};

inline std::string ParquetBytes(const FileToWrite& file) {
  std::string out = "PAR1";
  std::vector<std::string> groups;
  for (const GroupToWrite& group : file.groups) {
    std::vector<std::string> chunks;
    for (const ColumnToWrite& column : group.columns) {
      const size_t begin = out.size();
      int64_t entries = 0, data_at = 0, dictionary_at = 0;
      for (const PageToWrite& page : column.pages) {
        int64_t& at = page.dictionary ? dictionary_at : data_at;
        if (at == 0) at = static_cast<int64_t>(out.size());
        if (!page.dictionary) entries += page.entries;
        out += PageBytes(page, column.codec);
      }
      ThriftStruct about;
      about.I32(1, column.type).I32(4, column.codec).I64(5, entries);
      about.I64(7, static_cast<int64_t>(out.size() - begin)).I64(9, data_at);
      if (dictionary_at > 0) about.I64(11, dictionary_at);
      chunks.push_back(ThriftStruct().I64(2, static_cast<int64_t>(begin)).Struct(3, about).End());
    }
    groups.push_back(ThriftStruct().List(1, 12, chunks).I64(2, 0).I64(3, group.rows).End());
  }
  std::vector<std::string> elements = {ThriftStruct().Text(4, "schema").I32(5, file.top_columns).End()};
  for (const ElementToWrite& element : file.elements) elements.push_back(ElementBytes(element));
  const std::string footer =
      ThriftStruct().I32(1, 2).List(2, 12, elements).I64(3, 0).List(4, 12, groups).End();
  return out + footer + Plain32(static_cast<uint32_t>(footer.size())) + "PAR1";
}

// Converted types.
inline constexpr int kParquetUtf8 = 0, kParquetList = 3;

// messages: [{role, content}], as `datasets` writes it: a question and an answer without content, null, and an empty list.
inline FileToWrite ParquetMessages() {
  const ColumnToWrite roles{.pages = {{.entries = 4,
                                       .values = PlainTexts({"user", "assistant"}),
                                       .repetitions = ParquetRunBytes({0, 1, 0, 0}),
                                       .definitions = ParquetRunBytes({4, 4, 0, 1})}}};
  const ColumnToWrite contents{.pages = {{.entries = 4,
                                          .values = PlainTexts({"hi"}),
                                          .repetitions = ParquetRunBytes({0, 1, 0, 0}),
                                          .definitions = ParquetRunBytes({4, 3, 0, 1})}}};
  return {.top_columns = 1,
          .elements = {{.name = "messages", .children = 1, .converted = kParquetList},
                       {.name = "list", .repetition = 2, .children = 1},
                       {.name = "element", .children = 2},
                       {.name = "role", .converted = kParquetUtf8},
                       {.name = "content", .converted = kParquetUtf8}},
          .groups = {{3, {roles, contents}}}};
}

}  // namespace ft::data
