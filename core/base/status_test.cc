#include "core/base/status.h"

#include <gtest/gtest.h>

namespace ft {
namespace {

TEST(OrdinaryStatus, ContextKeepsCodeAndPayloads) {
  Status status = absl::NotFoundError("no such thing");
  status.SetPayload("reason", absl::Cord("JOB_NOT_FOUND"));
  const Status longer = WithContext(status, "file.yaml");
  EXPECT_EQ(longer.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Message(longer), "file.yaml: no such thing");
  ASSERT_TRUE(longer.GetPayload("reason").has_value());
  EXPECT_EQ(*longer.GetPayload("reason"), "JOB_NOT_FOUND");
  EXPECT_TRUE(WithContext(absl::OkStatus(), "file.yaml").ok());
}

}  // namespace
}  // namespace ft
