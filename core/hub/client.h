// Requests to one hub in the name of one user: which address, whose token, what is tried again, where redirects may lead, and
// what a refusal means for a person.
//
// Tokens go to the hub's own host and to no other: a redirect to another host is followed without. Redirects: at most five, https
// only (this machine excepted), and to a private address only where the hub itself has one.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "absl/time/time.h"
#include "core/base/status.h"
#include "core/hub/access.h"
#include "core/hub/retry.h"
#include "core/hub/transport.h"

namespace ft::hub {

// Waits, or less when it is asked to stop: CANCELLED then. `why` is a sentence for people.
using Pause = std::function<Status(absl::Duration wait, const std::string& why)>;

struct ClientOptions {
  Transport* transport = nullptr;  // REQUIRES: not null, outlives the client.
  Access access;
  recipe::HubSource source;
  Pause pause;
  std::stop_token stop;
};

// A part of a file: bytes from `begin` to before `end`.
struct Range {
  int64_t begin = 0, end = 0;
};

// Where the bytes of an answer begin in the file, and the bytes.
using FileSink = std::function<Status(const HttpAnswer& head, std::span<const std::byte> piece)>;

// Thread-safe.
class Client {
 public:
  explicit Client(ClientOptions options) : options_(std::move(options)) {}

  const recipe::HubSource& source() const { return options_.source; }
  const Settings& settings() const { return options_.access.settings; }

  // The body of an address of the hub, path and query given, and its `Link` header. Passing troubles are tried again.
  //   NOT_FOUND no such repository, revision or file; PERMISSION_DENIED gated or private; UNAUTHENTICATED the token is none;
  //   UNAVAILABLE the hub does not answer, after some tries; FAILED_PRECONDITION any other refusal. All name source and host.
  struct Text {
    std::string body, link;
  };
  StatusOr<Text> GetText(const std::string& path);

  // One try at a range of a file from an address of the hub, or from `signed_address`, where an earlier redirect of it led.
  // Answers the head, whatever its status, and where it came from; only bodies of 200 and 206 reach the sink. Errors are those of
  // the transport and the sink.
  struct FileAnswer {
    HttpAnswer head;
    Url from;
    std::string body;  // Of a refusal.
  };
  StatusOr<FileAnswer> GetRange(const std::string& path, const std::optional<Url>& signed_address,
                                Range range, const FileSink& sink);

  // The refusal as an error, as for GetText.
  Status Refusal(const FileAnswer& answer) const;
  // Before another try; CANCELLED when asked to stop.
  Status WaitFor(const HttpAnswer* answer, int failures, const std::string& why) const;
  // Whether an address is the hub's own, and no storage that it led to.
  bool IsOwn(const Url& url) const;

 private:
  StatusOr<FileAnswer> Follow(Url url, const std::vector<std::string>& headers, const FileSink& sink);
  StatusOr<Url> OwnUrl(const std::string& path) const;
  std::vector<std::string> TokenHeaders() const;

  const ClientOptions options_;
  std::atomic<bool> hub_is_private_ = false;
};

}  // namespace ft::hub
