// ftctl logs: what the ranks of a job printed.
#include <map>
#include <utility>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/render/width.h"
#include "client/session/output.h"
#include "client/stored/stored_job.h"
#include "client/stored/stored_logs.h"
#include "finetune/v1/logs.grpc.pb.h"

namespace ft::client {
namespace {

struct LogsOptions {
  std::string job;
  bool follow = false;
  int rank = -1;
  int64_t attempt = 0;
  int64_t tail = 0;
  std::string stream = "all";
};

// Chunks may end within a character, so only whole lines are cleaned; the rest waits for the next chunk.
class LineSplitter {
 public:
  void Add(const v1::LogChunk& chunk, bool with_rank) {
    std::string& rest = rests_[{chunk.rank(), chunk.stream()}];
    rest += chunk.data();
    const std::string prefix = with_rank ? StrCat("[", chunk.rank(), "] ") : std::string();
    size_t begin = 0;
    for (size_t end; (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
      PrintLine(prefix + PrintableLines(std::string_view(rest).substr(begin, end - begin)));
    }
    rest.erase(0, begin);
  }

  void Finish() {
    for (const auto& [key, rest] : rests_) {
      if (!rest.empty()) PrintLine(PrintableLines(rest));
    }
  }

 private:
  std::map<std::pair<int, std::string>, std::string> rests_;
};

v1::StreamLogsRequest RequestOf(const LogsOptions& options) {
  v1::StreamLogsRequest request;
  request.set_epoch(options.attempt);
  request.set_rank(options.rank);
  request.set_follow(options.follow);
  request.set_tail_bytes(options.tail);
  return request;
}

// Prints chunks as they come.
class LogPrinter {
 public:
  LogPrinter(const LogsOptions& options, const Session& session) : options_(options), session_(session) {}

  void Add(const v1::LogChunk& chunk) {
    if (options_.stream != "all" && chunk.stream() != options_.stream) return;
    if (session_.json()) {
      PrintLine(ToJsonLine(chunk));
    } else {
      lines_.Add(chunk, /*with_rank=*/options_.rank < 0 && chunk.rank() > 0);
    }
  }
  void Finish() { lines_.Finish(); }

 private:
  const LogsOptions& options_;
  const Session& session_;
  LineSplitter lines_;
};

// Out of the files of this user's own job while no coordinator runs; `why` where there are none.
StatusOr<int> LogsOfFiles(const LogsOptions& options, Session& session, const Status& why) {
  if (!FilesMayAnswer(session, why)) return why;
  ASSIGN_OR_RETURN(const RunFolder run, StoredRun(session, options.job, why));
  if (options.follow) return absl::UnavailableError(session.Localized(Text::kNothingToFollow));
  PrintNotice(session.Localized(Text::kFromFiles, PrivateRuns(session).string()));
  LogPrinter printer(options, session);
  const Status status = VisitStoredLogs(session, run, RequestOf(options),
                                        [&printer](const v1::LogChunk& chunk) { printer.Add(chunk); });
  printer.Finish();
  if (!status.ok()) return status;
  return kExitOk;
}

StatusOr<int> Logs(const LogsOptions& options, Session& session) {
  const StatusOr<v1::Job> job = session.GetJob(options.job);
  if (!job.ok()) return LogsOfFiles(options, session, job.status());
  ASSIGN_OR_RETURN(const Connection* connection, session.Connect());
  v1::StreamLogsRequest request = RequestOf(options);
  request.set_job(job->name());
  grpc::ClientContext context;
  const auto reader = connection->Stream(&v1::LogService::Stub::StreamLogs, context, request);
  LogPrinter printer(options, session);
  v1::LogChunk chunk;
  while (reader->Read(&chunk)) printer.Add(chunk);
  printer.Finish();
  const Status status = Connection::FromGrpc(reader->Finish());
  if (!status.ok()) return session.Explained(status);
  return kExitOk;
}

}  // namespace

void AddLogs(CLI::App& root, Session& session) {
  auto options = std::make_shared<LogsOptions>();
  CLI::App* verb = root.add_subcommand("logs", "What the ranks of a job print")->group(kGroupLook);
  AddJobArgument(verb, options->job);
  verb->add_flag("-f,--follow", options->follow, "Go on until the job has ended");
  verb->add_option("--rank", options->rank, "Only this rank")->type_name("N")->check(CLI::Range(0, 65535));
  verb->add_option("--attempt", options->attempt, "Of this attempt (the newest)")->type_name("N");
  verb->add_option("--tail", options->tail, "Start so many bytes before the end")->type_name("BYTES");
  verb->add_option("--stream", options->stream, "stdout, stderr or all")
      ->type_name("NAME")
      ->check(CLI::IsMember({"stdout", "stderr", "all"}));
  verb->footer("Examples:\n  ftctl logs qa -f\n  ftctl logs qa --stream stderr --tail 4096");
  SetAction(verb, options, session, Logs);
}

}  // namespace ft::client
