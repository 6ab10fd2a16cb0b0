#include "server/api/call.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "core/base/sha256.h"
#include "core/rpc/authorize.h"

namespace ft::api {
namespace {

constexpr char kLocalUser[] = "user:local";

auto& Observer() {
  static std::function<void(const std::string&, grpc::StatusCode, double)> observer;
  return observer;
}

}  // namespace

void SetCallObserver(std::function<void(const std::string&, grpc::StatusCode, double)> observer) {
  Observer() = std::move(observer);
}

UnaryCall::UnaryCall(grpc::CallbackServerContext* context, const char* method)
    : reactor_(context->DefaultReactor()), method_(method), start_(absl::Now()) {}

void UnaryCall::Finish(const Status& status) const {
  if (Observer()) {
    Observer()(method_, static_cast<grpc::StatusCode>(status.code()),
               absl::ToDoubleSeconds(absl::Now() - start_));
  }
  reactor_->Finish(rpc::ToGrpc(status));
}

std::string ActorOf(const grpc::CallbackServerContext& context) {
  const auto auth = context.auth_context();
  if (auth == nullptr) return kLocalUser;
  const auto users = auth->FindPropertyValues(rpc::kUserProperty);
  return users.empty() ? kLocalUser : StrCat("user:", std::string(users[0].data(), users[0].size()));
}

std::string RequestDigest(const google::protobuf::Message& request) {
  std::unique_ptr<google::protobuf::Message> copy(request.New());
  copy->CopyFrom(request);
  if (const auto* field = copy->GetDescriptor()->FindFieldByName("request_id")) {
    copy->GetReflection()->ClearField(copy.get(), field);
  }
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    copy->SerializeToCodedStream(&coded);
  }
  return Hex(Sha256Of(bytes));
}

Status NoSuchJob(const std::string& name) {
  return rpc::WithReason(
      absl::NotFoundError(StrCat("there is no job '", name, "': ftctl list shows all jobs")),
      pb::JOB_NOT_FOUND);
}

}  // namespace ft::api
