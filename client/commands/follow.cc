#include "client/commands/follow.h"

#include <vector>

#include "client/commands/interrupts.h"
#include "client/commands/job_watch.h"
#include "client/commands/metrics_tail.h"
#include "client/commands/output.h"
#include "client/commands/training_view.h"
#include "client/render/table.h"
#include "client/render/units.h"
#include "client/render/width.h"

namespace ft::client {
namespace {

constexpr std::chrono::milliseconds kTick{200};
constexpr std::chrono::seconds kLastPointsTimeout{2};

bool IsOver(v1::JobState state) { return HasEnded(state) || state == v1::PAUSED; }

// The loop's state between two ticks.
class Follower {
 public:
  Follower(Session& session, const Connection& connection, const v1::Job& job, const FollowOptions& options)
      : session_(session),
        options_(options),
        view_(session),
        watch_(connection, job.name()),
        metrics_(connection, job.name()),
        followed_{.job = job} {}

  StatusOr<Followed> Run() {
    Show();
    while (!IsOver(followed_.job.state()) && !followed_.deleted) {
      const JobWatch::Update update = watch_.Next(kTick);
      if (!update.refused.ok()) return update.refused;
      TellContact(update.contact);
      followed_.deleted = update.deleted;
      if (update.job.has_value()) {
        followed_.job = *update.job;
        Freshen();
        Show();
      }
      TakeMetrics();
      if (interrupts_.count() > handled_interrupts_ && LeavesOnInterrupt()) break;
    }
    // The last samples and evaluations arrive with the end.
    if (HasEnded(followed_.job.state())) metrics_.WaitForEnd(kLastPointsTimeout);
    TakeMetrics();
    view_.Close();
    return followed_;
  }

 private:
  void Show() {
    if (session_.json()) {
      PrintLine(ToJsonLine(followed_.job));
    } else {
      view_.Show(followed_.job);
    }
    if (shown_report_ || session_.json() || followed_.job.prepared().samples() == 0) return;
    shown_report_ = true;
    const v1::PreparedData& data = followed_.job.prepared();
    view_.Say(session_.Say(Text::kDataReport, FormatCount(data.samples()), FormatCount(data.tokens()),
                           FormatCount(data.supervised_tokens())));
    // Watches leave the report out; without an answer it is left out here too.
    const StatusOr<v1::Job> full = session_.GetJob(followed_.job.name());
    if (!full.ok()) return;
    for (const std::string& line : full->prepared().report()) view_.Say("  " + PrintableLines(line));
  }

  void TellContact(const Status& contact) {
    if (contact.ok() == in_contact_ || session_.json()) return;
    in_contact_ = contact.ok();
    view_.Close();
    Remark(in_contact_ ? session_.Say(Text::kContactBack) : session_.Say(Text::kContactLost, Message(contact)));
  }

  void TakeMetrics() {
    const std::vector<v1::MetricPoint> points = metrics_.Take();
    if (points.empty() || session_.json()) return;
    view_.Add(points);
    Freshen();
    view_.Show(followed_.job);
  }

  // The series is ahead of the job's row, which the coordinator need not write for every step.
  void Freshen() {
    v1::JobProgress& progress = *followed_.job.mutable_progress();
    if (followed_.job.epoch() != view_.epoch() || view_.last_step() <= progress.step()) return;
    progress.set_step(view_.last_step());
    progress.set_loss(view_.last_loss());
  }

  // True when following ends here.
  bool LeavesOnInterrupt() {
    handled_interrupts_ = interrupts_.count();
    followed_.interrupted = true;
    if (!options_.pause_on_interrupt || handled_interrupts_ > 1) return true;
    view_.Close();
    Remark(session_.Say(Text::kPausing, CallName(followed_.job)));
    v1::PauseJobRequest request;
    request.set_name(followed_.job.name());
    request.set_request_id(NewRequestId());
    const StatusOr<v1::Job> paused = session_.Call(&v1::JobService::Stub::PauseJob, request);
    if (paused.ok()) {
      followed_.job = *paused;
      return false;
    }
    Remark(Message(paused.status()));
    return true;
  }

  Session& session_;
  const FollowOptions options_;
  Interrupts interrupts_;
  TrainingView view_;
  JobWatch watch_;
  MetricsTail metrics_;
  Followed followed_;
  int handled_interrupts_ = 0;
  bool in_contact_ = true;
  bool shown_report_ = false;
};

double RunSeconds(const v1::Job& job) {
  if (!job.has_start_time() || !job.has_end_time()) return -1;
  return absl::ToDoubleSeconds(TimeOf(job.end_time()) - TimeOf(job.start_time()));
}

}  // namespace

StatusOr<Followed> Follow(Session& session, const v1::Job& job, const FollowOptions& options) {
  ASSIGN_OR_RETURN(const Connection* connection, session.Connect());
  return Follower(session, *connection, job, options).Run();
}

int Conclude(const Session& session, const Followed& followed) {
  const v1::Job& job = followed.job;
  const std::string name = CallName(job);
  std::string line;
  int exit_status = kExitOk;
  if (followed.deleted) {
    line = session.Say(Text::kDeleted, name);
    exit_status = kExitFailed;
  } else if (job.state() == v1::SUCCEEDED) {
    line = session.Say(Text::kSucceeded, name, job.progress().step(), FormatLoss(job.progress().loss()),
                       FormatDuration(RunSeconds(job)));
  } else if (job.state() == v1::FAILED) {
    line = session.Say(Text::kFailed, name, v1::FailureClass_Name(job.failure().failure_class()),
                       Printable(job.failure().message()));
    exit_status = kExitFailed;
  } else if (job.state() == v1::CANCELLED) {
    line = session.Say(Text::kCancelled, name);
    exit_status = kExitFailed;
  } else if (job.state() == v1::PAUSED) {
    line = session.Say(Text::kPaused, name, job.progress().checkpoint_step());
  } else {
    line = session.Say(Text::kWatchLeft, name);
  }
  Remark(Wrap(line, session.terminal.columns, 2));
  return exit_status;
}

}  // namespace ft::client
