#include "core/hub/download.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "core/hub/cache.h"
#include "core/hub/partial.h"

namespace ft::hub {
namespace {

constexpr int64_t kMuch = 64 << 10;
constexpr std::chrono::seconds kSaveEvery{5};

// "bytes 10-19/100": where the bytes begin and how long the file is.
bool IsContentRange(std::string_view header, int64_t begin, int64_t size) {
  constexpr std::string_view kUnit = "bytes ";
  if (!header.starts_with(kUnit)) return false;
  header.remove_prefix(kUnit.size());
  const size_t hyphen = header.find('-'), slash = header.find('/');
  int64_t first = 0, length = 0;
  if (hyphen == std::string_view::npos || slash == std::string_view::npos || hyphen > slash) return false;
  if (!absl::SimpleAtoi(std::string(header.substr(0, hyphen)), &first) || first != begin) return false;
  const std::string total(header.substr(slash + 1));
  return total == "*" || (absl::SimpleAtoi(total, &length) && length == size);
}

// Ranges of one file, filled by several threads.
class Filler {
 public:
  Filler(Client& client, const DownloadTask& task, PartialFile& partial, DownloadCounts& counts,
         const std::stop_token& stop)
      : client_(client), task_(task), partial_(partial), counts_(counts), stop_(stop) {}

  // CANCELLED with ranges_ignored(): to be done in one range.
  Status Run(int connections) {
    counts_.bytes = partial_.done();
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < connections; ++i) threads.emplace_back([this] { FillRanges(); });
    }
    const Status saved = partial_.Save();
    const std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(error_);
    return saved;
  }
  bool ranges_ignored() const { return ranges_ignored_; }

 private:
  void FillRanges() {
    while (!ended_) {
      std::optional<PartialFile::Piece> piece = partial_.Claim();
      if (!piece) return;
      Status filled = FillRange(*piece);
      partial_.Release(*piece);
      if (filled.ok() && !partial_.is_one_range()) filled = partial_.Save();
      if (!filled.ok()) Fail(filled);
    }
  }

  void Fail(const Status& status) {
    const std::lock_guard lock(mutex_);
    if (error_.ok()) error_ = status;
    ended_ = true;
  }

  std::optional<Url> Address() {
    const std::lock_guard lock(mutex_);
    return address_;
  }
  void SetAddress(std::optional<Url> address) {
    const std::lock_guard lock(mutex_);
    address_ = std::move(address);
  }

  // Until the range is full. Failures count in a row: a byte that comes begins the count anew.
  Status FillRange(PartialFile::Piece& piece) {
    int failures = 0;
    while (piece.begin < piece.end) {
      if (ended_ || stop_.stop_requested()) return absl::CancelledError("asked to stop");
      const std::optional<Url> address = Address();
      const int64_t before = piece.begin;
      bool first = true;  // Piece of this answer.
      const StatusOr<Client::FileAnswer> answer =
          client_.GetRange(task_.address, address, {piece.begin, piece.end},
                           [&](const HttpAnswer& head, std::span<const std::byte> bytes) -> Status {
                             if (std::exchange(first, false)) RETURN_IF_ERROR(CheckHead(head, piece));
                             return Take(bytes, piece);
                           });
      if (answer.ok() && answer->head.status < 300 && !client_.IsOwn(answer->from)) SetAddress(answer->from);
      if (!answer.ok() && !absl::IsUnavailable(answer.status())) return answer.status();
      if (piece.begin > before) failures = 0;
      // One that sends much before it is cut is no burden when it is asked again at once.
      if (piece.begin == piece.end || piece.begin - before >= kMuch) continue;
      RETURN_IF_ERROR(AfterFailure(answer, address.has_value(), ++failures));
    }
    return absl::OkStatus();
  }

  // What to do after a try that did not fill the range.
  Status AfterFailure(const StatusOr<Client::FileAnswer>& answer, bool was_signed, int failures) {
    const bool lapsed =
        was_signed && answer.ok() && answer->head.status >= 400 && !IsPassing(answer->head.status);
    // A signed address lives for an hour or so; that of a host that is gone would not come back either.
    if (was_signed && (lapsed || !answer.ok())) SetAddress(std::nullopt);
    if (lapsed && failures < kMostTries) return absl::OkStatus();
    const bool refused = answer.ok() && answer->head.status >= 300;
    const Status why = refused ? client_.Refusal(*answer)
                       : answer.ok()
                           ? absl::UnavailableError(StrCat(answer->from.host, " ended before the end"))
                           : answer.status();
    if (!absl::IsUnavailable(why) || failures >= kMostTries)
      return WithContext(why, StrCat(recipe::ToText(client_.source()), ": ", task_.file.path));
    return client_.WaitFor(answer.ok() ? &answer->head : nullptr, failures, std::string(Message(why)));
  }

  // Whether what comes is what was asked for.
  Status CheckHead(const HttpAnswer& head, PartialFile::Piece& piece) {
    if (head.status == 200) return BeginAnew(piece);
    if (IsContentRange(head.Header("content-range"), piece.begin, task_.file.size)) return absl::OkStatus();
    return absl::FailedPreconditionError(StrCat(
        recipe::ToText(client_.source()), ": ", task_.file.path,
        ": the server sends another part of the file than was asked for, or the file has another size than "
        "the hub lists: try again later, or use another mirror"));
  }

  Status Take(std::span<const std::byte> bytes, PartialFile::Piece& piece) {
    if (ended_) return absl::CancelledError("asked to stop");
    if (static_cast<int64_t>(bytes.size()) > piece.end - piece.begin) {
      return absl::FailedPreconditionError(
          StrCat(recipe::ToText(client_.source()), ": ", task_.file.path,
                 ": the server sends more bytes than the hub lists: try again "
                 "later, or use another mirror"));
    }
    RETURN_IF_ERROR(partial_.Append(piece, bytes));
    counts_.bytes += static_cast<int64_t>(bytes.size());
    return SaveNowAndThen();
  }

  // What a process that is killed has to bring again is a few seconds' worth, however slow the line.
  Status SaveNowAndThen() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    auto saved = saved_.load();
    if (now - saved < kSaveEvery || !saved_.compare_exchange_strong(saved, now)) return absl::OkStatus();
    return partial_.Save();
  }

  // The server ignores ranges: the whole file comes, from its beginning.
  Status BeginAnew(PartialFile::Piece& piece) {
    if (!partial_.is_one_range()) {
      ranges_ignored_ = true;
      return absl::CancelledError("ranges are ignored");
    }
    if (piece.begin == 0) return absl::OkStatus();
    if (++beginnings_ > kMostTries) {
      return absl::FailedPreconditionError(StrCat(
          recipe::ToText(client_.source()), ": ", task_.file.path,
          ": it is cut again and again, and the server sends it from its beginning each time: try again "
          "later, or use another mirror"));
    }
    counts_.bytes -= piece.begin;
    partial_.Clear(piece);
    return absl::OkStatus();
  }

  Client& client_;
  const DownloadTask& task_;
  PartialFile& partial_;
  DownloadCounts& counts_;
  const std::stop_token& stop_;
  std::atomic<bool> ended_ = false;
  std::atomic<bool> ranges_ignored_ = false;
  std::atomic<std::chrono::steady_clock::duration> saved_ =
      std::chrono::steady_clock::now().time_since_epoch();
  int beginnings_ = 0;  // Of a file in one range, which one thread fills.
  std::mutex mutex_;    // Guards all below.
  std::optional<Url> address_;
  Status error_;
};

// The whole content, of whatever digest.
StatusOr<std::unique_ptr<PartialFile>> Bring(Client& client, const DownloadTask& task,
                                             const DownloadOptions& options, DownloadCounts& counts,
                                             const std::stop_token& stop) {
  for (int64_t range_bytes : {options.range_bytes, std::max<int64_t>(1, task.file.size)}) {
    ASSIGN_OR_RETURN(std::unique_ptr<PartialFile> partial,
                     PartialFile::Open(task.partial, task.file, range_bytes));
    Filler filler(client, task, *partial, counts, stop);
    const Status filled = filler.Run(partial->is_one_range() ? 1 : options.connections);
    if (filled.ok()) return partial;
    if (!filler.ranges_ignored()) return filled;
    partial->Discard();
  }
  return absl::InternalError("a file in one range cannot have its ranges ignored");
}

}  // namespace

Status DownloadFile(Client& client, const DownloadTask& task, const DownloadOptions& options,
                    DownloadCounts& counts, const std::stop_token& stop) {
  Status wrong;
  for (int tries = 0; tries < 2; ++tries) {
    ASSIGN_OR_RETURN(const std::unique_ptr<PartialFile> partial, Bring(client, task, options, counts, stop));
    counts.checking = true;
    wrong = CheckDigest(partial->content(), task.file, stop);
    counts.checking = false;
    if (wrong.ok()) return partial->Finish(task.destination);
    if (!absl::IsDataLoss(wrong)) return wrong;
    partial->Discard();
  }
  return absl::DataLossError(
      StrCat(recipe::ToText(client.source()), ": ", Message(wrong),
             ", twice: something on the way changes it; try again later, or use another mirror"));
}

}  // namespace ft::hub
