#include "core/hub/client.h"

#include "absl/time/clock.h"
#include "core/base/excerpt.h"
#include "nlohmann/json.hpp"

namespace ft::hub {
namespace {

using recipe::Hub;

constexpr int kMostRedirects = 5;
constexpr size_t kLongestText = 64 << 20;
constexpr size_t kLongestRefusal = 64 << 10;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// What the hub itself says, for the end of a sentence.
std::string Said(const HttpAnswer& head, const std::string& body) {
  std::string said = head.Header("x-error-message");
  const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  for (const char* key : {"error", "Message"}) {
    if (said.empty() && json.is_object() && json.contains(key) && json[key].is_string())
      said = json[key].get<std::string>();
  }
  std::string id = head.Header("x-request-id");
  if (id.empty()) id = head.Header("x-amz-cf-id");
  std::string text;
  if (!said.empty()) StrAppend(&text, ": ", Excerpt(said, 200));
  if (!id.empty()) StrAppend(&text, " (request ", Excerpt(id, 80), ")");
  return text;
}

// The repository's page for people, below the endpoint.
std::string PageOf(const recipe::HubSource& source) {
  if (source.kind == recipe::RepositoryKind::kDataset) return StrCat("/datasets/", source.repository);
  return StrCat(source.hub == Hub::kModelScope ? "/models/" : "/", source.repository);
}

const char* TokenVariable(Hub hub) { return hub == Hub::kHuggingFace ? "HF_TOKEN" : "MODELSCOPE_API_TOKEN"; }

}  // namespace

bool Client::IsOwn(const Url& url) const {
  const StatusOr<Url> own = ParseUrl(settings().endpoint(source().hub));
  return own.ok() && own->SameOrigin(url);
}

StatusOr<Url> Client::OwnUrl(const std::string& path) const {
  const std::string& endpoint = settings().endpoint(source().hub);
  RETURN_IF_ERROR(
      CheckEndpoint(source().hub == Hub::kHuggingFace ? "HF_ENDPOINT" : "MODELSCOPE_ENDPOINT", endpoint));
  return ParseUrl(path.find("://") == std::string::npos ? StrCat(endpoint, path) : path);
}

std::vector<std::string> Client::TokenHeaders() const {
  const std::string& token = options_.access.tokens.of(source().hub);
  if (token.empty()) return {};
  std::vector<std::string> headers = {StrCat("Authorization: Bearer ", token)};
  if (source().hub == Hub::kModelScope) headers.push_back(StrCat("Cookie: m_session_id=", token));
  return headers;
}

StatusOr<Client::FileAnswer> Client::Follow(Url url, const std::vector<std::string>& headers,
                                            const FileSink& sink) {
  for (int redirects = 0;; ++redirects) {
    if (url.scheme != "https" && !IsLoopbackHost(url.host)) {
      return absl::PermissionDeniedError(
          StrCat(recipe::ToText(source()), " leads to ", url.Origin(),
                 ", where everybody on the way could change it: only https is followed"));
    }
    const bool own = IsOwn(url);
    HttpRequest request{.url = url, .headers = headers, .may_be_private = own || hub_is_private_};
    if (own) {
      for (std::string& header : TokenHeaders()) request.headers.push_back(std::move(header));
    }
    FileAnswer answer{.from = url};
    const BodySink take = [&](const HttpAnswer& head, std::span<const std::byte> piece) -> Status {
      if (head.status == 200 || head.status == 206) return sink(head, piece);
      const size_t room = kLongestRefusal - std::min(kLongestRefusal, answer.body.size());
      answer.body.append(reinterpret_cast<const char*>(piece.data()), std::min(room, piece.size()));
      return absl::OkStatus();
    };
    ASSIGN_OR_RETURN(answer.head, options_.transport->Get(request, take, options_.stop));
    if (own && answer.head.private_address) hub_is_private_ = true;
    const std::string location = answer.head.Header("location");
    if (!IsRedirect(answer.head.status) || location.empty()) return answer;
    const StatusOr<Url> next = ResolveLocation(url, location);
    if (!next.ok() || redirects == kMostRedirects) {
      return absl::FailedPreconditionError(
          StrCat(recipe::ToText(source()), ": ", url.host, " leads ",
                 next.ok() ? "from one address to the next without end" : "to what is no address"));
    }
    url = *next;
  }
}

StatusOr<Client::FileAnswer> Client::GetRange(const std::string& path,
                                              const std::optional<Url>& signed_address, Range range,
                                              const FileSink& sink) {
  ASSIGN_OR_RETURN(const Url own, OwnUrl(path));
  std::vector<std::string> headers;
  if (range.end > range.begin) headers.push_back(StrCat("Range: bytes=", range.begin, "-", range.end - 1));
  return Follow(signed_address.value_or(own), headers, sink);
}

StatusOr<Client::Text> Client::GetText(const std::string& path) {
  ASSIGN_OR_RETURN(const Url url, OwnUrl(path));
  for (int failures = 1;; ++failures) {
    Text text;
    const FileSink sink = [&](const HttpAnswer&, std::span<const std::byte> piece) -> Status {
      if (text.body.size() + piece.size() > kLongestText) {
        return absl::FailedPreconditionError(
            StrCat(url.host, " answers with more than ", kLongestText >> 20, " MiB of text: is it a hub?"));
      }
      text.body.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      return absl::OkStatus();
    };
    const StatusOr<FileAnswer> answer = Follow(url, {"Accept: application/json"}, sink);
    if (answer.ok() && answer->head.status == 200) {
      text.link = answer->head.Header("link");
      return text;
    }
    const Status refusal = answer.ok() ? Refusal(*answer) : answer.status();
    if (!absl::IsUnavailable(refusal)) return refusal;
    if (failures == kMostTries) return refusal;
    RETURN_IF_ERROR(WaitFor(answer.ok() ? &answer->head : nullptr, failures, std::string(Message(refusal))));
  }
}

Status Client::Refusal(const FileAnswer& answer) const {
  const HttpAnswer& head = answer.head;
  const std::string name = recipe::ToText(source()), said = Said(head, answer.body);
  const std::string code = head.Header("x-error-code");
  const bool has_token = !options_.access.tokens.of(source().hub).empty();
  const char* variable = TokenVariable(source().hub);
  if (code == "GatedRepo" || (head.status == 403 && IsOwn(answer.from))) {
    return absl::PermissionDeniedError(
        StrCat(name, " is not open to ", has_token ? "this token" : "everybody", ": accept its terms at ",
               settings().endpoint(source().hub), PageOf(source()), ", and set ", variable,
               " to a token that may read it", said));
  }
  if (code == "RevisionNotFound")
    return absl::NotFoundError(
        StrCat(name, ": there is no such revision: name a branch, tag or commit of it", said));
  if (code == "EntryNotFound")
    return absl::NotFoundError(StrCat(name, ": a file is not there any more", said));
  if (head.status == 401 && has_token && code != "RepoNotFound") {
    return absl::UnauthenticatedError(StrCat(name, ": ", answer.from.host, " does not take the token: set ",
                                             variable, " to one that is valid", said));
  }
  if (head.status == 401 || head.status == 404) {
    return absl::NotFoundError(StrCat(name, " is not at ", answer.from.host,
                                      ", or is private: correct the name, or set ", variable,
                                      " to a token that may read it", said));
  }
  const std::string text =
      StrCat(name, ": ", answer.from.host, " answers with HTTP status ", head.status, said);
  return IsPassing(head.status) ? absl::UnavailableError(text) : absl::FailedPreconditionError(text);
}

Status Client::WaitFor(const HttpAnswer* answer, int failures, const std::string& why) const {
  const absl::Duration wait = WaitBefore(answer, failures, absl::Now());
  return options_.pause(wait, why);
}

}  // namespace ft::hub
