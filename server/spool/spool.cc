#include "server/spool/spool.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

#include "core/series/series.h"
#include "server/spool/layout.h"
#include "server/spool/log_file.h"

namespace ft::spool {

void Spool::Start(Lane& lane, const char* name) {
  lane.thread = std::thread([&lane, name] {
    pthread_setname_np(pthread_self(), name);
    lane.context.run();
  });
}

void Spool::Stop(Lane& lane) {
  if (!lane.thread.joinable()) return;
  lane.work.reset();
  boost::asio::post(lane.context, [&lane] { lane.context.stop(); });
  lane.thread.join();
}

Status Spool::Run(Lane& lane, std::function<void()> work) {
  if (lane.waiting.fetch_add(1) >= kQueueLimit) {
    lane.waiting.fetch_sub(1);
    return absl::ResourceExhaustedError(
        "the coordinator's disk is slower than what is sent: retry in a second");
  }
  boost::asio::post(lane.context, [&lane, work = std::move(work)] {
    lane.waiting.fetch_sub(1);
    work();
  });
  return absl::OkStatus();
}

void Spool::Start() {
  Start(records_, "spool");
  Start(large_, "spool-large");
}

void Spool::Stop() {
  Stop(large_);
  if (records_.thread.joinable()) {
    boost::asio::post(records_.context, [this] {
      const Status closed = store_.Close();
      if (!closed.ok()) spdlog::warn("{}; the next start does the rest", std::string(Message(closed)));
    });
  }
  Stop(records_);
}

Status Spool::Run(std::function<void()> work) { return Run(records_, std::move(work)); }

Status Spool::RunLarge(std::function<void()> work) { return Run(large_, std::move(work)); }

std::filesystem::path Spool::AdapterDir(const std::string& job_id, int64_t epoch) const {
  return AttemptDir(root_, job_id, epoch) / "adapter";
}

StatusOr<int64_t> Spool::AppendLog(const wpb::RankRef& ref, const LogPiece& piece) {
  if (std::max(piece.offset, piece.oldest) > kMaxStreamBytes) {
    return absl::InvalidArgumentError(StrCat("offset and oldest must be at most ", kMaxStreamBytes));
  }
  const std::filesystem::path dir = RankDir(root_, ref.job_id(), ref.epoch(), ref.rank());
  RETURN_IF_ERROR(MakeDirectories(dir));
  ASSIGN_OR_RETURN(LogFile file, LogFile::Open(dir / piece.stream));
  const int64_t end = file.end(), behind = piece.offset + static_cast<int64_t>(piece.data.size());
  if (piece.offset == piece.oldest && piece.oldest > end) {
    RETURN_IF_ERROR(file.NoteLoss(piece.oldest - end));
    RETURN_IF_ERROR(file.Append(piece.data));
  } else if (piece.offset > end || behind <= end) {
    return end;
  } else {
    RETURN_IF_ERROR(file.Append(piece.data.substr(static_cast<size_t>(end - piece.offset))));
  }
  DieUnless(file.Sync());
  return file.end();
}

int64_t Spool::LogSize(const LogRead& read) const {
  std::error_code ignored;
  const auto size =
      std::filesystem::file_size(RankDir(root_, read.job_id, read.epoch, read.rank) / read.stream, ignored);
  return ignored ? 0 : static_cast<int64_t>(size);
}

StatusOr<std::string> Spool::ReadLog(const LogRead& read) const {
  const std::filesystem::path path = RankDir(root_, read.job_id, read.epoch, read.rank) / read.stream;
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno == ENOENT ? StatusOr<std::string>("") : ErrnoStatus("open", path, errno);
  std::string data(read.max_bytes, '\0');
  const ssize_t got = ::pread(fd.get(), data.data(), data.size(), read.offset);
  if (got < 0) return ErrnoStatus("read", path, errno);
  data.resize(static_cast<size_t>(got));
  return data;
}

std::vector<int32_t> Spool::Ranks(const std::string& job_id, int64_t epoch) const {
  std::vector<int32_t> ranks;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(AttemptDir(root_, job_id, epoch), ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("rank")) ranks.push_back(std::atoi(name.c_str() + 4));
  }
  std::sort(ranks.begin(), ranks.end());
  return ranks;
}

StatusOr<std::vector<pb::MetricPoint>> Spool::NextPoints(const std::string& job_id,
                                                         SeriesCursor* cursor) const {
  return series::NextPoints(RankDir(root_, job_id, cursor->epoch, 0) / kRecordsFile, cursor->epoch,
                            &cursor->offset);
}

StatusOr<std::vector<pb::MetricPoint>> Spool::Series(const std::string& job_id, int64_t last_epoch,
                                                     SeriesCursor* cursor) const {
  series::Series all;
  for (int64_t epoch = 1; epoch <= last_epoch; ++epoch) {
    *cursor = {epoch, 0};
    uint64_t before = UINT64_MAX;
    while (cursor->offset != before) {
      before = cursor->offset;
      ASSIGN_OR_RETURN(std::vector<pb::MetricPoint> batch, NextPoints(job_id, cursor));
      for (pb::MetricPoint& point : batch) all.Add(std::move(point));
    }
  }
  return all.Take();
}

void Spool::RemoveJob(const std::string& job_id) {
  store_.Forget(job_id);
  std::error_code ignored;
  std::filesystem::remove_all(JobsDir(root_) / job_id, ignored);
}

}  // namespace ft::spool
