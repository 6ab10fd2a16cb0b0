// Which East Asian encoding a text that is not UTF-8 was saved in. The byte rules of these encodings overlap:
// almost every Korean or Japanese file is also a valid GB18030 file, of characters that mean nothing. So the
// text is decoded by each, and judged by how common the characters are that come out.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ft::data {

enum class Encoding {
  kUtf8,
  kUtf8WithMark,
  kGb18030,  // With GBK and GB2312.
  kBig5,
  kEucKr,  // As Windows has it: code page 949.
  kShiftJis,
  kEucJp,
  kUtf16LittleEndian,
  kUtf16BigEndian
};

// As people and ICU call it.
std::string_view EncodingName(Encoding encoding);
const char* IcuName(Encoding encoding);

// The encodings that make common characters of the texts, the best first: none = they are no such texts, more
// than one = they cannot be told apart. Each begins with a whole character; its last one may be cut.
std::vector<Encoding> GuessEncoding(std::span<const std::string> texts);

}  // namespace ft::data
