#include "worker/data/tokenizer/byte_level.h"

#include <array>

#include "worker/data/tokenizer/utf8.h"

namespace ft::tokenizer {
namespace {

constexpr int kCodes = 256 + 68;

constexpr bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::array<uint16_t, 256> MakeCodeOfByte() {
  std::array<uint16_t, 256> codes = {};
  uint16_t next = 256;
  for (int byte = 0; byte < 256; ++byte)
    codes[byte] = StandsForItself(byte) ? static_cast<uint16_t>(byte) : next++;
  return codes;
}

constexpr std::array<uint16_t, 256> kCodeOfByte = MakeCodeOfByte();

constexpr std::array<int16_t, kCodes> MakeByteOfCode() {
  std::array<int16_t, kCodes> bytes = {};
  for (int16_t& byte : bytes) byte = -1;
  for (int byte = 0; byte < 256; ++byte) bytes[kCodeOfByte[byte]] = static_cast<int16_t>(byte);
  return bytes;
}

constexpr std::array<int16_t, kCodes> kByteOfCode = MakeByteOfCode();

}  // namespace

std::optional<std::string> ByteLevelToBytes(std::string_view token) {
  std::string bytes;
  bytes.reserve(token.size());
  for (size_t pos = 0; pos < token.size();) {
    const Utf8Char next = ReadUtf8(token, pos);
    if (next.kind != Utf8Char::Kind::kValid || next.code >= kCodes || kByteOfCode[next.code] < 0)
      return std::nullopt;
    bytes.push_back(static_cast<char>(kByteOfCode[next.code]));
    pos += next.length;
  }
  return bytes;
}

std::string BytesToByteLevel(std::string_view bytes) {
  std::string token;
  for (const char byte : bytes) AppendUtf8(kCodeOfByte[static_cast<unsigned char>(byte)], &token);
  return token;
}

}  // namespace ft::tokenizer
