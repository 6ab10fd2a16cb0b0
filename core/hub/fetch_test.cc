#include "core/hub/fetch.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <mutex>
#include <random>
#include <set>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/hub/pins.h"
#include "tests/support/temp_dir.h"

namespace ft::hub {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kRange = 1000;
const std::string kCommit(40, 'c');

std::string RandomBytes(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// A hub of one repository, in memory: weights by a signed address on another host, all else by the hub itself.
class FakeHub : public Transport {
 public:
  std::map<std::string, std::string> files = {{"config.json", "{}"},
                                              {"model.safetensors", RandomBytes(5500, 1)}};
  std::string storage = "https://storage.example";
  std::string told_digest;    // In place of the weights' own.
  std::vector<int64_t> cuts;  // Offsets of the weights at which an answer ends.
  bool ignores_ranges = false;
  bool changes_bytes = false;
  int good_requests = 1 << 30;       // Of an address, before it lapses.
  std::vector<HttpAnswer> refusals;  // Given before anything else.

  StatusOr<HttpAnswer> Get(const HttpRequest& request, const BodySink& sink,
                           const std::stop_token&) override {
    const std::lock_guard lock(mutex_);
    requests.push_back(request);
    if (!refusals.empty()) {
      const HttpAnswer refusal = refusals.front();
      refusals.erase(refusals.begin());
      return refusal;
    }
    if (request.url.host != "hub.example") return Content(request, sink);
    const std::string& path = request.url.path;
    if (path.find("/revision/") != std::string::npos)
      return Text(StrCat(R"({"sha":")", kCommit, "\"}"), sink);
    if (path.find("/tree/") != std::string::npos) return Text(Listing(), sink);
    if (path.ends_with("model.safetensors")) {
      uses_ = 0;
      return HttpAnswer{.status = 302, .headers = {{"location", storage + "/weights?signature=x"}}};
    }
    return Text(files["config.json"], sink);
  }

  size_t count(std::string_view host) const {
    return static_cast<size_t>(
        std::count_if(requests.begin(), requests.end(),
                      [&](const HttpRequest& request) { return request.url.host == host; }));
  }

  std::vector<HttpRequest> requests;
  std::vector<std::pair<int64_t, int64_t>> sent;  // Of the weights.

 private:
  std::string Listing() {
    const std::string& weights = files["model.safetensors"];
    const std::string digest = told_digest.empty() ? Hex(Sha256Of(weights)) : told_digest;
    return StrCat(
        R"([{"type":"file","path":"config.json","size":2,"oid":"9e26dfeeb6e641a33dae4961196235bdb965b21b"},)",
        R"({"type":"file","path":"model.safetensors","size":1,"oid":")", std::string(40, '1'),
        R"(","lfs":{"oid":")", digest, R"(","size":)", weights.size(), "}}]");
  }

  static StatusOr<HttpAnswer> Text(const std::string& text, const BodySink& sink) {
    const HttpAnswer head{.status = 200};
    RETURN_IF_ERROR(sink(head, std::as_bytes(std::span(text))));
    return head;
  }

  StatusOr<HttpAnswer> Content(const HttpRequest& request, const BodySink& sink) {
    if (++uses_ > good_requests) return HttpAnswer{.status = 403};
    std::string weights = files["model.safetensors"];
    if (changes_bytes) weights[7] ^= 1;
    HttpAnswer head{.status = 200};
    int64_t begin = 0, end = static_cast<int64_t>(weights.size());
    for (const std::string& header : request.headers) {
      long long from = 0, to = 0;
      if (ignores_ranges || std::sscanf(header.c_str(), "Range: bytes=%lld-%lld", &from, &to) != 2) continue;
      begin = from;
      end = to + 1;
      head.status = 206;
      head.headers["content-range"] = StrCat("bytes ", begin, "-", end - 1, "/", weights.size());
    }
    const auto cut =
        std::find_if(cuts.begin(), cuts.end(), [&](int64_t at) { return begin < at && at < end; });
    const bool is_cut = cut != cuts.end();
    const int64_t stop = is_cut ? *cut : end;
    if (is_cut) cuts.erase(cut);
    for (int64_t at = begin; at < stop; at += 100) {
      const std::string piece = weights.substr(at, std::min<int64_t>(100, stop - at));
      RETURN_IF_ERROR(sink(head, std::as_bytes(std::span(piece))));
      sent.emplace_back(at, at + static_cast<int64_t>(piece.size()));
    }
    if (is_cut) return absl::UnavailableError("storage.example: the connection was cut");
    return head;
  }

  std::mutex mutex_;  // Guards all of it.
  int uses_ = 0;
};

class HubFetchTest : public ::testing::Test {
 protected:
  FetchRequest Request() {
    FetchRequest request{.source = *recipe::ParseHubSource("hf://a/b", recipe::RepositoryKind::kModel)};
    request.access.settings = {"https://hub.example", "https://scope.example", dir_ / "hf", dir_ / "ms",
                               false};
    request.access.tokens.huggingface = "hf_secret";
    request.transport = &hub_;
    request.options = {.connections = 3, .range_bytes = kRange};
    return request;
  }
  std::string Brought() {
    return *ReadFile(dir_ / "hf/models--a--b/snapshots" / kCommit / "model.safetensors");
  }
  std::vector<std::string> Unfinished() {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(dir_ / "hf")) {
      const std::string name = entry.path().filename().string();
      if (name.find(".finetuned-") != std::string::npos) names.push_back(name);
    }
    return names;
  }
  Status Refused(const FetchRequest& request) {
    const StatusOr<Fetched> fetched = Fetch(request);
    EXPECT_FALSE(fetched.ok());
    EXPECT_THAT(fetched.status().ToString(), Not(HasSubstr("hf_secret")));
    return fetched.status();
  }

  ft::testing::TempDir dir_;
  FakeHub hub_;
};

TEST_F(HubFetchTest, BringsASnapshotAsPythonLaysItOut) {
  const auto fetched = Fetch(Request());
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(fetched->version, kCommit);
  EXPECT_EQ(fetched->missing_bytes, 5502);
  EXPECT_EQ(Brought(), hub_.files["model.safetensors"]);
  const fs::path repository = dir_ / "hf/models--a--b";
  EXPECT_EQ(*ReadFile(repository / "refs/main"), kCommit);
  EXPECT_EQ(fs::read_symlink(repository / "snapshots" / kCommit / "config.json"),
            "../../blobs/9e26dfeeb6e641a33dae4961196235bdb965b21b");
  EXPECT_TRUE(Unfinished().empty());
  // Everything is here: the revision is asked for, and nothing else.
  hub_.requests.clear();
  EXPECT_EQ(Fetch(Request())->missing_bytes, 0);
  EXPECT_EQ(hub_.requests.size(), 1u);
  // A job that was prepared with it asks for nothing.
  FetchRequest pinned = Request();
  pinned.version = kCommit;
  EXPECT_TRUE(Fetch(pinned).ok());
  EXPECT_EQ(hub_.requests.size(), 1u);
}

TEST_F(HubFetchTest, TheTokenGoesToTheHubAlone) {
  ASSERT_TRUE(Fetch(Request()).ok());
  EXPECT_GT(hub_.count("storage.example"), 0u);
  for (const HttpRequest& request : hub_.requests) {
    const bool told = std::find(request.headers.begin(), request.headers.end(),
                                "Authorization: Bearer hf_secret") != request.headers.end();
    EXPECT_EQ(told, request.url.host == "hub.example") << request.url.ToText();
    EXPECT_EQ(request.may_be_private, request.url.host == "hub.example");
  }
  // One address serves all ranges of a file.
  EXPECT_LE(hub_.count("hub.example"), 2u + 1u + 3u);
}

TEST_F(HubFetchTest, CutConnectionsGoOnWhereTheyEnded) {
  hub_.cuts = {150, 1990, 2500, 5400};
  ASSERT_TRUE(Fetch(Request()).ok());
  EXPECT_EQ(Brought(), hub_.files["model.safetensors"]);
  int64_t sent = 0;
  for (const auto& [begin, end] : hub_.sent) sent += end - begin;
  EXPECT_EQ(sent, 5500) << "no byte comes twice";
}

TEST_F(HubFetchTest, AnotherProcessGoesOnWhereOneStopped) {
  FetchRequest request = Request();
  request.options.connections = 1;
  std::stop_source stop;
  request.stop = stop.get_token();
  hub_.cuts = {2300};
  // The cut's wait of a second is where it is stopped.
  request.progress = [&](const Progress& progress) {
    if (progress.phase == Progress::Phase::kWaitingForHub) stop.request_stop();
  };
  EXPECT_TRUE(absl::IsCancelled(Refused(request)));
  EXPECT_EQ(Unfinished().size(), 2u);
  EXPECT_FALSE(fs::exists(dir_ / "hf/models--a--b/snapshots" / kCommit / "model.safetensors"));
  EXPECT_EQ(ListRepositories(request.access.settings)[0].partial_bytes > 0, true);
  hub_.sent.clear();
  ASSERT_TRUE(Fetch(Request()).ok());
  std::set<int64_t> begins;
  for (const auto& [begin, end] : hub_.sent) begins.insert(begin);
  EXPECT_EQ(*begins.begin(), 2300);
  EXPECT_EQ(Brought(), hub_.files["model.safetensors"]);
}

TEST_F(HubFetchTest, AServerThatIgnoresRangesIsTakenAsItIs) {
  hub_.ignores_ranges = true;
  hub_.cuts = {4000};
  ASSERT_TRUE(Fetch(Request()).ok());
  EXPECT_EQ(Brought(), hub_.files["model.safetensors"]);
}

TEST_F(HubFetchTest, AnAddressThatLapsedIsAskedForAnew) {
  hub_.good_requests = 1;
  FetchRequest request = Request();
  request.options.connections = 1;
  ASSERT_TRUE(Fetch(request).ok());
  EXPECT_EQ(Brought(), hub_.files["model.safetensors"]);
}

TEST_F(HubFetchTest, AWrongDigestIsTriedTwiceAndFails) {
  hub_.changes_bytes = true;
  const Status status = Refused(Request());
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(Message(status)), HasSubstr("twice: something on the way changes it"));
  int64_t sent = 0;
  for (const auto& [begin, end] : hub_.sent) sent += end - begin;
  EXPECT_EQ(sent, 11000);
  EXPECT_TRUE(Unfinished().empty());
  EXPECT_FALSE(fs::exists(dir_ / "hf/models--a--b/refs/main"));
  hub_.changes_bytes = false;
  EXPECT_TRUE(Fetch(Request()).ok());
}

TEST_F(HubFetchTest, OfflineNothingIsAsked) {
  FetchRequest offline = Request();
  offline.access.settings.offline = true;
  const Status status = Refused(offline);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(Message(status)),
              HasSubstr("run `ftctl cache fetch hf://a/b` where there is a network"));
  ASSERT_TRUE(Fetch(Request()).ok());
  hub_.requests.clear();
  const auto fetched = Fetch(offline);
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(fetched->bytes, 5502);
  // As a client leaves it that keeps no listing.
  fs::remove_all(dir_ / "hf/models--a--b/trees");
  EXPECT_EQ(Fetch(offline)->bytes, 5502);
  fs::remove(dir_ / "hf/models--a--b/snapshots" / kCommit / "model.safetensors");
  EXPECT_THAT(std::string(Message(Refused(offline))), HasSubstr("has no weights"));
  EXPECT_TRUE(hub_.requests.empty());
}

TEST_F(HubFetchTest, RefusalsSayWhatToDo) {
  const auto refused = [&](HttpAnswer answer) {
    hub_.refusals = {std::move(answer)};
    return std::string(Message(Refused(Request())));
  };
  EXPECT_THAT(
      refused({.status = 403, .headers = {{"x-error-code", "GatedRepo"}, {"x-request-id", "r1"}}}),
      ::testing::AllOf(
          HasSubstr("hf://a/b is not open to this token: accept its terms at https://hub.example/a/b"),
          HasSubstr("(request r1)")));
  EXPECT_THAT(refused({.status = 404, .headers = {{"x-error-code", "RevisionNotFound"}}}),
              HasSubstr("there is no such revision"));
  EXPECT_THAT(refused({.status = 404, .headers = {{"x-error-code", "EntryNotFound"}}}),
              HasSubstr("a file is not there any more"));
  EXPECT_THAT(refused({.status = 401, .headers = {{"x-error-code", "RepoNotFound"}}}),
              HasSubstr("is not at hub.example, or is private"));
  EXPECT_THAT(refused({.status = 401}),
              HasSubstr("does not take the token: set HF_TOKEN to one that is valid"));
  EXPECT_THAT(refused({.status = 418, .headers = {{"x-error-message", "teapot"}}}),
              HasSubstr("answers with HTTP status 418: teapot"));
}

TEST_F(HubFetchTest, PassingTroubleIsWaitedFor) {
  hub_.refusals = {{.status = 429, .headers = {{"ratelimit", "\"api\";r=0;t=0"}}},
                   {.status = 429, .headers = {{"retry-after", "1"}}},
                   {.status = 503, .headers = {{"retry-after", "0"}}}};
  std::set<std::string> whys;
  FetchRequest request = Request();
  request.progress = [&](const Progress& progress) { whys.insert(progress.why); };
  const absl::Time begin = absl::Now();
  ASSERT_TRUE(Fetch(request).ok());
  EXPECT_GE(absl::Now() - begin, absl::Seconds(2));
  EXPECT_THAT(whys, Contains(HasSubstr("HTTP status 429")));
  hub_.refusals.assign(5, {.status = 503, .headers = {{"retry-after", "0"}}});
  fs::remove_all(dir_ / "hf");
  EXPECT_TRUE(absl::IsUnavailable(Refused(Request())));
}

TEST_F(HubFetchTest, RedirectsLeadToNothingUnsafe) {
  hub_.storage = "http://storage.example";
  EXPECT_THAT(std::string(Message(Refused(Request()))), HasSubstr("only https is followed"));
  hub_.storage = "https://hub.example";  // And there to itself, for ever.
  hub_.files["model.safetensors"] = "x";
  hub_.refusals.assign(7, {.status = 302, .headers = {{"location", "/again"}}});
  EXPECT_THAT(std::string(Message(Refused(Request()))),
              HasSubstr("from one address to the next without end"));
}

TEST_F(HubFetchTest, WhatIsHeldByAnotherProcessIsWaitedFor) {
  const std::string digest = Hex(Sha256Of(hub_.files["model.safetensors"]));
  const fs::path lock = dir_ / "hf/.locks/models--a--b" / (digest + ".lock");
  ASSERT_TRUE(MakeDirectories(lock.parent_path()).ok());
  UniqueFd held(::open(lock.c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(::flock(held.get(), LOCK_EX), 0);
  bool waited = false;
  FetchRequest request = Request();
  request.progress = [&](const Progress& progress) {
    if (progress.phase != Progress::Phase::kWaitingForOther) return;
    waited = true;
    held.Reset();
  };
  ASSERT_TRUE(Fetch(request).ok());
  EXPECT_TRUE(waited);
}

TEST_F(HubFetchTest, WhatModelScopesOlderClientBroughtIsTaken) {
  FetchRequest request = Request();
  request.source = *recipe::ParseHubSource("modelscope://a/b.c", recipe::RepositoryKind::kModel);
  request.access.settings.offline = true;
  EXPECT_THAT(std::string(Message(Refused(request))), HasSubstr("nothing of it was ever downloaded"));
  const fs::path older = dir_ / "ms/hub/models/a/b___c";
  ASSERT_TRUE(MakeDirectories(older).ok());
  for (const auto& [name, content] : hub_.files) ASSERT_TRUE(WriteFileDurably(older / name, content).ok());
  const auto fetched = Fetch(request);
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(fetched->folder, older);
  EXPECT_EQ(fetched->bytes, 5502);
}

TEST_F(HubFetchTest, WhatIsKeptIsListedAndRemoved) {
  const Settings settings = Request().access.settings;
  ASSERT_TRUE(Fetch(Request()).ok());
  const auto kept = ListRepositories(settings);
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(recipe::ToText(kept[0].source), "hf://a/b");
  EXPECT_EQ(kept[0].revisions, std::vector<std::string>{"main"});
  EXPECT_GE(kept[0].bytes, 5502);
  ASSERT_TRUE(RemoveRepository(settings, kept[0].source).ok());
  EXPECT_TRUE(ListRepositories(settings).empty());
  EXPECT_TRUE(absl::IsNotFound(RemoveRepository(settings, kept[0].source)));
}

TEST(HubPinsTest, AreReadAsTheyWereWritten) {
  const ft::testing::TempDir dir;
  EXPECT_TRUE(ReadPins(dir.path()).empty());
  const std::vector<Pin> pins = {{"hf://a/b", kCommit, "/c/d"}, {"modelscope://a/b", "master", "/e"}};
  ASSERT_TRUE(WritePins(dir.path(), pins).ok());
  EXPECT_EQ(ReadPins(dir.path()), pins);
  EXPECT_EQ(FindPin(pins, "modelscope://a/b")->version, "master");
  EXPECT_EQ(FindPin(pins, "hf://x/y"), nullptr);
  ASSERT_TRUE(WriteFileDurably(dir / "sources.json", "[1, {}, {\"source\": 3}]").ok());
  EXPECT_EQ(ReadPins(dir.path()).size(), 2u);
}

}  // namespace
}  // namespace ft::hub
