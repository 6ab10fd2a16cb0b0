// ftctl metrics: the figures of every training step.
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/render/progress.h"
#include "client/render/table.h"
#include "client/render/units.h"
#include "client/session/output.h"
#include "client/stored/stored_job.h"
#include "core/series/series.h"
#include "finetune/v1/metrics.grpc.pb.h"

namespace ft::client {
namespace {

struct MetricsOptions {
  std::string job;
  int64_t first = 0;
  int64_t last = 0;
  bool follow = false;
};

using StepRecord = finetune::worker::v1::StepRecord;

std::vector<std::string> Cells(const StepRecord& step) {
  const double rate = step.seconds() > 0 ? static_cast<double>(step.tokens()) / step.seconds() : 0;
  return {StrCat(step.step()),
          step.skipped() ? "skipped" : FormatLoss(step.loss()),
          FormatRate(step.learning_rate()),
          FormatLoss(step.gradient_norm()),
          FormatCount(step.tokens()),
          FormatCount(static_cast<int64_t>(rate)),
          FormatDuration(step.seconds()),
          FormatBytes(step.peak_memory_bytes())};
}

StatusOr<int> FollowMetrics(const MetricsOptions& options, const v1::Job& job, Session& session) {
  ASSIGN_OR_RETURN(const Connection* connection, session.Connect());
  v1::StreamMetricsRequest request;
  request.set_job(job.name());
  request.set_after_step(options.first > 0 ? options.first - 1 : 0);
  grpc::ClientContext context;
  const auto reader = connection->Stream(&v1::MetricService::Stub::StreamMetrics, context, request);
  v1::MetricPoint point;
  while (reader->Read(&point)) {
    if (session.json()) {
      PrintLine(ToJsonLine(point));
    } else if (point.record().has_step() && point.rank() == 0) {
      const StepRecord& step = point.record().step();
      PrintLine(StrCat("step ", step.step(), "  loss ", FormatLoss(step.loss()), "  lr ",
                       FormatRate(step.learning_rate()), "  ", FormatDuration(step.seconds())));
    }
  }
  const Status status = Connection::FromGrpc(reader->Finish());
  if (!status.ok()) return session.Explained(status);
  return kExitOk;
}

void PrintTable(const Session& session, const v1::QueryMetricsResponse& points) {
  Table table({{.title = "STEP", .align = Align::kRight},
               {.title = "LOSS", .align = Align::kRight},
               {.title = "RATE", .align = Align::kRight},
               {.title = "GRADIENT", .align = Align::kRight},
               {.title = "TOKENS", .align = Align::kRight},
               {.title = "TOKENS/S", .align = Align::kRight},
               {.title = "TIME", .align = Align::kRight},
               {.title = "PEAK", .align = Align::kRight}});
  std::vector<double> losses;
  for (const v1::MetricPoint& point : points.points()) {
    if (point.rank() != 0 || !point.record().has_step()) continue;
    table.AddRow(Cells(point.record().step()));
    losses.push_back(point.record().step().loss());
  }
  Print(table.Render(session.terminal));
  PrintLine(StrCat(session.Localized(Text::kLoss), " ", Sparkline(losses, 60, session.terminal)));
}

void Show(const Session& session, const std::string& name, const v1::QueryMetricsResponse& points) {
  if (session.json()) {
    Print(ToJsonText(points));
  } else if (points.points().empty()) {
    PrintNotice(session.Localized(Text::kNoMetrics, name));
  } else {
    PrintTable(session, points);
  }
}

// Out of the files of this user's own job while no coordinator runs; `why` where there are none.
StatusOr<int> MetricsOfFiles(const MetricsOptions& options, Session& session, const Status& why) {
  if (!FilesMayAnswer(session, why)) return why;
  ASSIGN_OR_RETURN(const RunFolder run, StoredRun(session, options.job, why));
  if (options.follow) return absl::UnavailableError(session.Localized(Text::kNothingToFollow));
  ASSIGN_OR_RETURN(std::vector<v1::MetricPoint> all, StoredSeries(session, run));
  v1::QueryMetricsResponse points;
  for (v1::MetricPoint& point : all) {
    const int64_t step = series::StepOf(point.record());
    if (step >= options.first && (options.last == 0 || step <= options.last))
      *points.add_points() = std::move(point);
  }
  PrintNotice(session.Localized(Text::kFromFiles, PrivateRuns(session).string()));
  Show(session, run.name, points);
  return kExitOk;
}

StatusOr<int> Metrics(const MetricsOptions& options, Session& session) {
  const StatusOr<v1::Job> job = session.GetJob(options.job);
  if (!job.ok()) return MetricsOfFiles(options, session, job.status());
  if (options.follow) return FollowMetrics(options, *job, session);
  v1::QueryMetricsRequest request;
  request.set_job(job->name());
  request.set_first_step(options.first);
  request.set_last_step(options.last);
  ASSIGN_OR_RETURN(const v1::QueryMetricsResponse points,
                   session.Call(&v1::MetricService::Stub::QueryMetrics, request, std::chrono::seconds(30)));
  Show(session, CallName(*job), points);
  return kExitOk;
}

}  // namespace

void AddMetrics(CLI::App& root, Session& session) {
  auto options = std::make_shared<MetricsOptions>();
  CLI::App* verb =
      root.add_subcommand("metrics", "Loss, rate, speed and memory of each step")->group(kGroupLook);
  AddJobArgument(verb, options->job);
  verb->add_option("--first", options->first, "From this step on")->type_name("STEP");
  verb->add_option("--last", options->last, "Up to this step")->type_name("STEP");
  verb->add_flag("-f,--follow", options->follow, "Go on until the job has ended");
  verb->footer("Example: ftctl metrics qa -o json > steps.json");
  SetAction(verb, options, session, Metrics);
}

}  // namespace ft::client
