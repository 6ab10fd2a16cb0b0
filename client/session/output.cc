#include "client/session/output.h"

#include <google/protobuf/util/json_util.h>

#include <cstdio>

#include "absl/time/clock.h"
#include "client/render/units.h"
#include "client/session/session.h"

namespace ft::client {
namespace {

namespace v1 = ::finetune::v1;

std::string ToJson(const google::protobuf::Message& message, bool indent) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = indent;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  return status.ok() ? text : std::string("{}");
}

}  // namespace

void Print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void PrintLine(std::string_view line) { Print(std::string(line).append("\n")); }

void PrintNotice(std::string_view line) {
  std::fflush(stdout);
  const std::string text = std::string(line).append("\n");
  std::fwrite(text.data(), 1, text.size(), stderr);
}

std::string ToJsonLine(const google::protobuf::Message& message) { return ToJson(message, /*indent=*/false); }
std::string ToJsonText(const google::protobuf::Message& message) { return ToJson(message, /*indent=*/true); }

absl::Time TimeOf(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

double SecondsOf(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + 1e-9 * duration.nanos();
}

std::string LocalTime(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return std::string();
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", TimeOf(time), absl::LocalTimeZone());
}

std::string AgeOf(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  const double seconds = absl::ToDoubleSeconds(absl::Now() - TimeOf(time));
  return FormatDuration(seconds < 0 ? 0 : seconds);
}

std::string JobId(const v1::Job& job) {
  const size_t slash = job.name().rfind('/');
  return slash == std::string::npos ? job.name() : job.name().substr(slash + 1);
}

std::string CallName(const v1::Job& job) {
  return job.display_name().empty() ? JobId(job) : job.display_name();
}

std::string DataReport(const Session& session, const v1::PreparedData& data) {
  return session.Localized(
      Text::kDataReport,
      session.Localized(data.samples() == 1 ? Text::kOneSample : Text::kSamples, FormatCount(data.samples())),
      session.Localized(data.tokens() == 1 ? Text::kOneToken : Text::kTokens, FormatCount(data.tokens())),
      FormatCount(data.supervised_tokens()));
}

std::string StateName(v1::JobState state) { return v1::JobState_Name(state); }

bool HasEnded(v1::JobState state) {
  return state == v1::SUCCEEDED || state == v1::FAILED || state == v1::CANCELLED;
}

}  // namespace ft::client
