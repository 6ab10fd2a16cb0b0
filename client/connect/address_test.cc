#include "client/connect/address.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/temp_dir.h"

namespace ft::client {
namespace {

TEST(AddressTest, SocketsAndLoopbackHosts) {
  EXPECT_EQ(ParseAddress("/run/f.sock")->target, "unix:/run/f.sock");
  EXPECT_EQ(ParseAddress("unix:/run/f.sock")->target, "unix:/run/f.sock");
  EXPECT_EQ(ParseAddress("unix:///run/f.sock")->socket, "/run/f.sock");
  EXPECT_EQ(ParseAddress("localhost:9000")->target, "localhost:9000");
  EXPECT_EQ(ParseAddress("127.0.0.1")->target, "127.0.0.1:7717");
  EXPECT_EQ(ParseAddress("[::1]:80")->target, "[::1]:80");
  EXPECT_FALSE(ParseAddress("localhost:9000")->local());
}

TEST(AddressTest, NonsenseOtherMachinesAndLongPathsAreRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(ParseAddress("").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseAddress("localhost:x").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseAddress("localhost:70000").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseAddress("/" + std::string(200, 'a')).status()));
  const Status far = ParseAddress("gpu-7:7717").status();
  EXPECT_NE(Message(far).find("ssh -L"), std::string_view::npos);
}

TEST(AddressTest, FilesOfTlsAreNamedWhenTheyAreNotThere) {
  const ft::testing::TempDir dir;
  const std::string missing = (dir / "none.crt").string();
  const Status no_ca = ParseAddress("gpu-7:7717", {.ca = missing}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(no_ca));
  EXPECT_NE(Message(no_ca).find(missing), std::string_view::npos);
  EXPECT_TRUE(absl::IsInvalidArgument(ParseAddress("localhost:7717", {.token_file = missing}).status()));
  EXPECT_TRUE(ParseAddress("/run/f.sock", {.ca = missing, .token_file = missing}).ok());
}

TEST(AddressTest, ProbeOfAMissingSocketSaysSo) {
  const ft::testing::TempDir dir;
  EXPECT_TRUE(absl::IsNotFound(Probe(*ParseAddress((dir / "none.sock").string()))));
}

}  // namespace
}  // namespace ft::client
