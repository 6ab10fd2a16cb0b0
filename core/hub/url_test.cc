#include "core/hub/url.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

namespace ft::hub {
namespace {

TEST(HubUrlTest, AddressesAreTakenApart) {
  const auto url = ParseUrl("HTTPS://Hub.Example:8443/a/b?c=d#e");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->ToText(), "https://hub.example:8443/a/b?c=d");
  EXPECT_TRUE(url->SameOrigin(*ParseUrl("https://hub.example:8443/")));
  EXPECT_FALSE(url->SameOrigin(*ParseUrl("https://hub.example/")));
  EXPECT_TRUE(ParseUrl("https://a")->SameOrigin(*ParseUrl("https://a:443/x")));
  EXPECT_EQ(ParseUrl("http://[::1]:80/x")->host, "[::1]");
  for (const char* text : {"ftp://a/", "file:///etc/passwd", "https://", "https://u:p@a/", "https://a b/",
                           "https://a/\n", "https://a:99999999/", "a/b", ""}) {
    EXPECT_FALSE(ParseUrl(text).ok()) << text;
  }
}

TEST(HubUrlTest, LocationsLeadOnFromWhereTheyStand) {
  const Url base = *ParseUrl("https://a/b/c?d=e");
  EXPECT_EQ(ResolveLocation(base, "/x?y")->ToText(), "https://a/x?y");
  EXPECT_EQ(ResolveLocation(base, "x")->ToText(), "https://a/b/x");
  EXPECT_EQ(ResolveLocation(base, "//f/x")->ToText(), "https://f/x");
  EXPECT_EQ(ResolveLocation(base, "http://f/x?u=https://g")->ToText(), "http://f/x?u=https://g");
  EXPECT_FALSE(ResolveLocation(base, "file:///etc/passwd").ok());
}

TEST(HubUrlTest, NamesAreEncoded) {
  EXPECT_EQ(EncodePath("a b/c+d#e?%"), "a%20b/c%2Bd%23e%3F%25");
  EXPECT_EQ(EncodeSegment("refs/pr/1"), "refs%2Fpr%2F1");
}

TEST(HubUrlTest, PrivateAddressesAreKnown) {
  const auto is_private = [](const char* text) {
    sockaddr_in v4{.sin_family = AF_INET};
    if (::inet_pton(AF_INET, text, &v4.sin_addr) == 1)
      return IsPrivateAddress(reinterpret_cast<sockaddr&>(v4));
    sockaddr_in6 v6{.sin6_family = AF_INET6};
    EXPECT_EQ(::inet_pton(AF_INET6, text, &v6.sin6_addr), 1) << text;
    return IsPrivateAddress(reinterpret_cast<sockaddr&>(v6));
  };
  for (const char* text :
       {"127.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1"}) {
    EXPECT_TRUE(is_private(text)) << text;
  }
  for (const char* text :
       {"8.8.8.8", "172.32.0.1", "192.169.0.1", "100.128.0.1", "2606:4700::1", "::ffff:8.8.8.8"})
    EXPECT_FALSE(is_private(text)) << text;
  EXPECT_TRUE(IsLoopbackHost("localhost") && IsLoopbackHost("127.0.0.9") && IsLoopbackHost("[::1]"));
  EXPECT_FALSE(IsLoopbackHost("127.0.0.1.example.org"));
}

}  // namespace
}  // namespace ft::hub
