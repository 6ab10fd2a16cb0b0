#include "core/hub/transport.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <mutex>

namespace ft::hub {
namespace {

constexpr long kConnectSeconds = 10;
constexpr long kSlowBytesPerSecond = 1024;
constexpr long kSlowSeconds = 60;
constexpr size_t kMostHeaderBytes = 64 << 10;

struct FreeHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Handle = std::unique_ptr<CURL, FreeHandle>;

// What libcurl's callbacks work on.
struct Transfer {
  const HttpRequest& request;
  const BodySink& sink;
  const std::stop_token& stop;
  HttpAnswer answer;
  size_t header_bytes = 0;
  Status status;         // Of the sink, or why the transfer must end.
  bool refused = false;  // The address was private.
};

std::string Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin));
}

size_t OnHeader(char* data, size_t, size_t size, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  transfer.header_bytes += size;
  if (transfer.header_bytes > kMostHeaderBytes) {
    transfer.status = absl::UnavailableError(
        StrCat(transfer.request.url.host, " sends more headers than any hub: is it one?"));
    return 0;
  }
  const std::string_view line(data, size);
  if (line.starts_with("HTTP/")) {  // After 100 Continue or a proxy's answer the headers begin anew.
    transfer.answer.headers.clear();
    const size_t blank = line.find(' ');
    transfer.answer.status =
        blank == std::string_view::npos ? 0 : std::atoi(std::string(line.substr(blank)).c_str());
    return size;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  transfer.answer.headers[name] = Trimmed(line.substr(colon + 1));
  return size;
}

size_t OnBody(char* data, size_t, size_t size, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  transfer.status = transfer.sink(transfer.answer, std::as_bytes(std::span(data, size)));
  return transfer.status.ok() ? size : 0;
}

int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Transfer*>(user)->stop.stop_requested() ? 1 : 0;
}

curl_socket_t OpenSocket(void* user, curlsocktype, curl_sockaddr* address) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  if (IsPrivateAddress(address->addr)) {
    if (!transfer.request.may_be_private) {
      transfer.refused = true;
      return CURL_SOCKET_BAD;
    }
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

class CurlTransport : public Transport {
 public:
  CurlTransport() {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    (void)ready;
  }

  StatusOr<HttpAnswer> Get(const HttpRequest& request, const BodySink& sink,
                           const std::stop_token& stop) override {
    Handle handle = Take();
    if (handle == nullptr) return absl::ResourceExhaustedError("libcurl has no memory for a transfer");
    Transfer transfer{.request = request, .sink = sink, .stop = stop};
    char why[CURL_ERROR_SIZE] = {};
    std::unique_ptr<curl_slist, FreeList> headers;
    for (const std::string& header : request.headers)
      headers.reset(curl_slist_append(headers.release(), header.c_str()));
    SetUp(handle.get(), transfer, headers.get(), why);
    const CURLcode code = curl_easy_perform(handle.get());
    char* address = nullptr;
    curl_easy_getinfo(handle.get(), CURLINFO_PRIMARY_IP, &address);
    transfer.answer.private_address = address != nullptr && IsPrivateText(address);
    const Status status = Outcome(transfer, code, why);
    if (status.ok()) Give(std::move(handle));  // One whose transfer broke is not used again.
    if (!status.ok()) return status;
    return std::move(transfer.answer);
  }

 private:
  static void SetUp(CURL* handle, Transfer& transfer, curl_slist* headers, char* why) {
    curl_easy_reset(handle);
    const std::string url = transfer.request.url.ToText();
    curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
    // http:// is let through by ParseUrl's callers for this machine only; a redirect is none of libcurl's business.
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(handle, CURLOPT_USERAGENT, "finetuned/" FT_VERSION);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, kSlowBytesPerSecond);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, kSlowSeconds);
    // Asked for as it is, and undone where somebody compresses it all the same.
    curl_easy_setopt(handle, CURLOPT_ACCEPT_ENCODING, "identity");
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, OnHeader);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, OnBody);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, OnProgress);
    curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, OpenSocket);
    curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, why);
  }

  static Status Outcome(const Transfer& transfer, CURLcode code, const char* why) {
    if (!transfer.status.ok()) return transfer.status;
    const std::string& host = transfer.request.url.host;
    if (transfer.stop.stop_requested()) return absl::CancelledError("asked to stop");
    if (transfer.refused) {
      return absl::PermissionDeniedError(
          StrCat(host,
                 " is an address of a private network, and a hub on the internet "
                 "must not lead there: the hub or the name server is not to be "
                 "trusted"));
    }
    if (code == CURLE_OK) return absl::OkStatus();
    return absl::UnavailableError(StrCat(
        host, ": ", why[0] != '\0' ? std::string_view(why) : std::string_view(curl_easy_strerror(code))));
  }

  static bool IsPrivateText(const char* text);

  Handle Take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return Handle(curl_easy_init());
    Handle handle = std::move(idle_.back());
    idle_.pop_back();
    return handle;
  }

  void Give(Handle handle) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(handle));
  }

  std::mutex mutex_;          // Guards idle_.
  std::vector<Handle> idle_;  // With their open connections; as many as transfers ran at once.
};

bool CurlTransport::IsPrivateText(const char* text) {
  sockaddr_in v4{.sin_family = AF_INET};
  sockaddr_in6 v6{.sin6_family = AF_INET6};
  if (::inet_pton(AF_INET, text, &v4.sin_addr) == 1) return IsPrivateAddress(reinterpret_cast<sockaddr&>(v4));
  if (::inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
    return IsPrivateAddress(reinterpret_cast<sockaddr&>(v6));
  return false;
}

}  // namespace

std::unique_ptr<Transport> MakeCurlTransport() { return std::make_unique<CurlTransport>(); }

}  // namespace ft::hub
