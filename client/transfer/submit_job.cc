#include "client/transfer/submit_job.h"

#include <filesystem>

#include "client/connect/upload.h"
#include "client/render/units.h"
#include "client/session/output.h"
#include "core/recipe/hub_source.h"

namespace ft::client {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kCreateTimeout{30};

std::string_view PluralOf(SourceKind kind) {
  switch (kind) {
    case SourceKind::kModel: return "models";
    case SourceKind::kAdapter: return "adapters";
    case SourceKind::kBenchmark: return "benchmarks";
    case SourceKind::kData: break;
  }
  return "data";
}

// Data files that lie here are sent; anything else names a place on the coordinator's machine.
StatusOr<std::string> UploadSource(Session& session, const JobText& text, const Source& source) {
  if (recipe::IsRemoteSource(source.value)) return source.value;
  const fs::path path = LocalPath(text.base, source.value);
  if (source.kind != SourceKind::kData) {
    if (fs::path(source.value).is_absolute()) return source.value;
    return absl::InvalidArgumentError(StrCat(text.file_name, ": ", source.key, ": ", PluralOf(source.kind),
                                             " are not uploaded: give the absolute path of '", source.value,
                                             "' on the coordinator's machine"));
  }
  std::error_code error;
  if (!fs::exists(path, error)) {
    if (fs::path(source.value).is_absolute()) return source.value;
    return absl::InvalidArgumentError(StrCat(text.file_name, ": ", source.key, ": there is nothing at ",
                                             path.string(), ": correct the path, which is relative to ",
                                             text.base.string()));
  }
  if (fs::is_directory(path, error)) {
    return absl::InvalidArgumentError(
        StrCat(text.file_name, ": ", source.key, ": ", path.string(),
               " is a folder and only single files can be uploaded: give its absolute "
               "path on the coordinator's machine"));
  }
  const auto size = static_cast<int64_t>(fs::file_size(path, error));
  PrintNotice(session.Localized(Text::kUploading, path.string(), FormatBytes(error ? 0 : size)));
  ASSIGN_OR_RETURN(const Connection* connection, session.Connect());
  const StatusOr<std::string> uploaded = UploadFile(*connection, path);
  if (!uploaded.ok()) return session.Explained(uploaded.status());
  return *uploaded;
}

bool IsAmbiguous(const Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsCancelled(status);
}

}  // namespace

StatusOr<std::string> FindablePaths(Session& session, const JobText& text) {
  ASSIGN_OR_RETURN(const Address address, session.ServerAddress());
  if (address.local()) return WithAbsolutePaths(text);
  return RewriteSources(text.yaml, [&](const Source& source) { return UploadSource(session, text, source); });
}

void TellRemarks(const Session& session, JobText& text) {
  for (const std::string& remark : text.remarks) PrintNotice(session.InLanguage(remark));
  text.remarks.clear();
}

StatusOr<v1::Job> SubmitJob(Session& session, JobText text, const Submission& submission) {
  ASSIGN_OR_RETURN(const recipe::JobSpec spec, CheckJob(text, submission.sets));
  TellRemarks(session, text);
  ASSIGN_OR_RETURN(const Connection* connection, session.Connect());
  ASSIGN_OR_RETURN(std::string yaml, FindablePaths(session, text));
  v1::CreateJobRequest request;
  request.mutable_job()->set_config_yaml(std::move(yaml));
  for (const auto& [key, value] : submission.labels) (*request.mutable_job()->mutable_labels())[key] = value;
  request.set_request_id(submission.request_id.empty() ? NewRequestId() : submission.request_id);
  request.set_validate_only(submission.validate_only);
  if (recipe::UsesHubs(spec) && !session.hub.tokens.empty()) {
    request.mutable_hub_tokens()->set_huggingface(session.hub.tokens.huggingface);
    request.mutable_hub_tokens()->set_modelscope(session.hub.tokens.modelscope);
  }
  StatusOr<v1::Job> job = connection->Call(&v1::JobService::Stub::CreateJob, request, kCreateTimeout);
  if (job.ok()) return job;
  const Status status = session.Explained(job.status());
  if (!IsAmbiguous(status) || submission.validate_only) return status;
  return Status(status.code(),
                StrCat(status.message(), "; ", session.Localized(Text::kAmbiguous, request.request_id())));
}

}  // namespace ft::client
