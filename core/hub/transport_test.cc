#include "core/hub/transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ft::hub {
namespace {

using testing::HasSubstr;

// Port 1 of this machine, where nobody listens.
Status AskNobody(bool may_be_private) {
  const HttpRequest request{.url = *ParseUrl("http://127.0.0.1:1/"), .may_be_private = may_be_private};
  const BodySink none = [](const HttpAnswer&, std::span<const std::byte>) { return absl::OkStatus(); };
  return MakeCurlTransport()->Get(request, none, std::stop_token()).status();
}

TEST(HubTransportTest, AHubOnTheInternetLeadsToNoPrivateAddress) {
  const Status refused = AskNobody(/*may_be_private=*/false);
  EXPECT_TRUE(absl::IsPermissionDenied(refused)) << refused;
  EXPECT_THAT(std::string(Message(refused)), HasSubstr("a hub on the internet must not lead there"));
}

TEST(HubTransportTest, WhoDoesNotAnswerIsNamed) {
  const Status refused = AskNobody(/*may_be_private=*/true);
  EXPECT_TRUE(absl::IsUnavailable(refused)) << refused;
  EXPECT_THAT(std::string(Message(refused)), HasSubstr("127.0.0.1"));
}

}  // namespace
}  // namespace ft::hub
