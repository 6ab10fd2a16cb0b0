#include "core/rpc/errors.h"

#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace ft::rpc {
namespace {

TEST(Errors, ReasonSurvivesTheWire) {
  const Status sent = WithReason(absl::NotFoundError("no job 'x'"), finetune::v1::JOB_NOT_FOUND);
  const Status got = FromGrpc(ToGrpc(sent));
  EXPECT_EQ(got.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Message(got), "no job 'x'");
  EXPECT_EQ(ReasonOf(got), finetune::v1::JOB_NOT_FOUND);
}

TEST(Errors, EachLineOfAWrongJobFileIsAFieldViolation) {
  const Status sent =
      WithReason(absl::InvalidArgumentError("a.yaml:1: train.lrx: unknown key\na.yaml:2: x: bad"),
                 finetune::v1::JOB_CONFIG_INVALID);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(ToGrpc(sent).error_details()));
  ASSERT_EQ(details.details_size(), 2);
  google::rpc::BadRequest bad;
  ASSERT_TRUE(details.details(1).UnpackTo(&bad));
  ASSERT_EQ(bad.field_violations_size(), 2);
  EXPECT_EQ(bad.field_violations(0).field(), "train.lrx");
}

TEST(Errors, PlainStatusHasNoReason) {
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
  EXPECT_EQ(ReasonOf(FromGrpc(grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone"))),
            finetune::v1::ERROR_REASON_UNSPECIFIED);
}

}  // namespace
}  // namespace ft::rpc
