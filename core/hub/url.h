// Addresses of requests: taken apart, put together, and what they may lead to..
#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"

struct sockaddr;

namespace ft::hub {

struct Url {
  std::string scheme;  // http | https
  std::string host;    // Lower case; IPv6 in brackets.
  std::string port;    // As written; empty = the scheme's.
  std::string path;    // With the query; starts with '/'.

  std::string Origin() const;  // scheme://host[:port]
  std::string ToText() const { return Origin() + path; }
  // Whether both are served by the same program as far as one can tell: scheme, host and port.
  bool SameOrigin(const Url& other) const;
};

// INVALID_ARGUMENT for anything but http(s)://HOST[:PORT][/PATH], with user names, control characters or blanks in it, or longer
// than 16 KiB.
StatusOr<Url> ParseUrl(std::string_view text);

// Where a `Location` leads that stands in the answer of `base`.
StatusOr<Url> ResolveLocation(const Url& base, std::string_view location);

// Percent-encoded for a path ('/' stays), or for one segment or a value of a query ('/' does not).
std::string EncodePath(std::string_view text);
std::string EncodeSegment(std::string_view text);

// localhost, 127.0.0.0/8 or [::1], by name.
bool IsLoopbackHost(std::string_view host);

// Of this machine or a private network: nothing that a hub on the internet may lead to.
bool IsPrivateAddress(const sockaddr& address);

}  // namespace ft::hub
