// Printing: text and protobuf messages as JSON to standard output, remarks to standard error.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/timestamp.pb.h>

#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "finetune/v1/jobs.pb.h"

namespace ft::client {

class Session;

// Flushed at once, so that a reader of a pipe sees lines when they happen.
void Print(std::string_view text);
void PrintLine(std::string_view line);
// For people only: progress remarks and errors, which scripts that read the output must not meet.
void PrintNotice(std::string_view line);

// proto3 JSON with the field names of the .proto files and every field; one line, or indented.
std::string ToJsonLine(const google::protobuf::Message& message);
std::string ToJsonText(const google::protobuf::Message& message);

absl::Time TimeOf(const google::protobuf::Timestamp& time);
double SecondsOf(const google::protobuf::Duration& duration);
// "2026-01-31 14:05:09" in local time; empty when not set.
std::string LocalTime(const google::protobuf::Timestamp& time);
// How long ago; "-" when not set.
std::string AgeOf(const google::protobuf::Timestamp& time);

// The last part of namespaces/{namespace}/jobs/{job}.
std::string JobId(const finetune::v1::Job& job);
// What people call the job: its display name, else its id.
std::string CallName(const finetune::v1::Job& job);
// "Data: 40 samples, 1,234 tokens, ..."
std::string DataReport(const Session& session, const finetune::v1::PreparedData& data);
std::string StateName(finetune::v1::JobState state);
// SUCCEEDED, FAILED or CANCELLED.
bool HasEnded(finetune::v1::JobState state);

}  // namespace ft::client
