#include "core/hub/url.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <cstring>

namespace ft::hub {
namespace {

constexpr size_t kLongest = 16 << 10;

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

bool IsHost(std::string_view host) {
  if (host.empty()) return false;
  if (host.front() == '[') {
    return host.size() > 2 && host.back() == ']' &&
           host.substr(1, host.size() - 2).find_first_not_of("0123456789abcdef:.") == std::string_view::npos;
  }
  return host.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-_") == std::string_view::npos;
}

std::string EffectivePort(const Url& url) {
  return url.port.empty() ? (url.scheme == "https" ? "443" : "80") : url.port;
}

std::string Encode(std::string_view text, std::string_view kept) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) || kept.find(c) != std::string_view::npos) {
      encoded += c;
    } else {
      encoded += '%';
      encoded += kDigits[static_cast<unsigned char>(c) >> 4];
      encoded += kDigits[static_cast<unsigned char>(c) & 15];
    }
  }
  return encoded;
}

bool IsPrivateV4(uint32_t a) {
  const auto within = [a](uint32_t network, int bits) { return (a ^ network) >> (32 - bits) == 0; };
  return within(0x00000000, 8) || within(0x0A000000, 8) || within(0x64400000, 10) || within(0x7F000000, 8) ||
         within(0xA9FE0000, 16) || within(0xAC100000, 12) || within(0xC0A80000, 16) || within(0xE0000000, 3);
}

bool IsPrivateV6(const in6_addr& address) {
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    uint32_t v4 = 0;
    std::memcpy(&v4, address.s6_addr + 12, sizeof(v4));
    return IsPrivateV4(ntohl(v4));
  }
  const bool unique_local = (address.s6_addr[0] & 0xFE) == 0xFC;
  return IN6_IS_ADDR_UNSPECIFIED(&address) || IN6_IS_ADDR_LOOPBACK(&address) ||
         IN6_IS_ADDR_LINKLOCAL(&address) || IN6_IS_ADDR_MULTICAST(&address) || unique_local;
}

}  // namespace

std::string Url::Origin() const { return StrCat(scheme, "://", host, port.empty() ? "" : ":", port); }

bool Url::SameOrigin(const Url& other) const {
  return scheme == other.scheme && host == other.host && EffectivePort(*this) == EffectivePort(other);
}

StatusOr<Url> ParseUrl(std::string_view text) {
  const Status none = absl::InvalidArgumentError("is no http(s) address");
  const bool clean =
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c != 0x7F; });
  const size_t colon = text.find("://");
  if (!clean || text.size() > kLongest || colon == std::string_view::npos) return none;
  Url url{.scheme = Lower(text.substr(0, colon))};
  if (url.scheme != "http" && url.scheme != "https") return none;
  const std::string_view rest = text.substr(colon + 3);
  const size_t slash = std::min(rest.find_first_of("/?#"), rest.size());
  const std::string_view authority = rest.substr(0, slash);
  url.path = rest.substr(slash, rest.find('#') - slash);
  if (!url.path.starts_with('/')) url.path.insert(0, "/");
  const size_t bracket = authority.rfind(']');
  const size_t port = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  url.host = Lower(authority.substr(0, port));
  if (port != std::string_view::npos) url.port = authority.substr(port + 1);
  const bool port_ok = url.port.size() <= 5 && url.port.find_first_not_of("0123456789") == std::string::npos;
  if (!IsHost(url.host) || !port_ok) return none;
  return url;
}

StatusOr<Url> ResolveLocation(const Url& base, std::string_view location) {
  if (location.find("://") != std::string_view::npos && location.find("://") < location.find_first_of("/?#"))
    return ParseUrl(location);
  if (location.starts_with("//")) return ParseUrl(StrCat(base.scheme, ":", location));
  if (location.starts_with('/')) return ParseUrl(StrCat(base.Origin(), location));
  const std::string folder = base.path.substr(0, base.path.find('?'));
  return ParseUrl(StrCat(base.Origin(), folder.substr(0, folder.rfind('/') + 1), location));
}

std::string EncodePath(std::string_view text) { return Encode(text, "-._~/"); }
std::string EncodeSegment(std::string_view text) { return Encode(text, "-._~"); }

bool IsLoopbackHost(std::string_view host) {
  return host == "localhost" || host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

bool IsPrivateAddress(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof(v4));
    return IsPrivateV4(ntohl(v4.sin_addr.s_addr));
  }
  if (address.sa_family != AF_INET6) return true;
  sockaddr_in6 v6;
  std::memcpy(&v6, &address, sizeof(v6));
  return IsPrivateV6(v6.sin6_addr);
}

}  // namespace ft::hub
