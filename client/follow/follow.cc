#include "client/follow/follow.h"

#include <chrono>
#include <optional>
#include <vector>

#include "client/daemons/private_daemons.h"
#include "client/follow/job_watch.h"
#include "client/follow/metrics_tail.h"
#include "client/follow/training_view.h"
#include "client/render/table.h"
#include "client/render/units.h"
#include "client/render/width.h"
#include "client/session/interrupts.h"
#include "client/session/output.h"
#include "core/base/shell_quote.h"

namespace ft::client {
namespace {

constexpr std::chrono::milliseconds kTick{200};
constexpr std::chrono::seconds kLastPointsTimeout{2};
// So long a private coordinator may be away, when it is started anew.
constexpr std::chrono::seconds kAwayTimeout{5};
// A job of which nothing is heard for so long is asked after: what keeps it may be in no event.
constexpr std::chrono::seconds kQuiet{5};

using Clock = std::chrono::steady_clock;

bool SaysDiskFull(std::string_view text) { return text.find("disk is full") != std::string_view::npos; }

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
        private_(session.data_dir),
        is_private_(session.server.empty() && RunningPid(private_.coordinator) != 0),
        followed_{.job = job} {}

  StatusOr<Followed> Run() {
    Show();
    while (!IsOver(followed_.job.state()) && !followed_.deleted) {
      const JobWatch::Update update = watch_.Next(kTick);
      if (!update.refused.ok()) return update.refused;
      TellContact(update.contact);
      if (HasStopped(update.contact)) {
        followed_.stopped = true;
        break;
      }
      followed_.deleted = update.deleted;
      if (update.job.has_value()) {
        followed_.job = *update.job;
        heard_at_ = Clock::now();
        Freshen();
        Show();
      }
      TakeMetrics();
      if (Clock::now() - heard_at_ >= kQuiet) AskAfter();
      if (followed_.interrupted && followed_.disk_full) break;
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
    view_.PrintAbove(DataReport(session_, data));
    // Watches leave the report out; without an answer it is left out here too.
    const StatusOr<v1::Job> full = session_.GetJob(followed_.job.name());
    if (!full.ok()) return;
    for (const std::string& line : full->prepared().report())
      view_.PrintAbove("  " + PrintableLines(ReportInLanguage(session_.terminal, line)));
  }

  // Whether the daemons that the job ran on are gone for good, and with them whatever could bring it on.
  bool HasStopped(const Status& contact) {
    const bool away = !contact.ok() && is_private_ && RunningPid(private_.coordinator) == 0;
    if (!away) {
      away_since_.reset();
      return false;
    }
    if (!away_since_.has_value()) away_since_ = Clock::now();
    return Clock::now() - *away_since_ >= kAwayTimeout;
  }

  // What the coordinator says of a job when it is asked, such as that the disk is full, is said here too.
  void AskAfter() {
    heard_at_ = Clock::now();
    if (!in_contact_) return;
    const StatusOr<v1::Job> now = session_.GetJob(followed_.job.name());
    if (!now.ok()) return;
    followed_.disk_full = SaysDiskFull(now->state_message());
    if (now->state_message() == followed_.job.state_message()) return;
    followed_.job.set_state_message(now->state_message());
    Show();
  }

  void TellContact(const Status& contact) {
    if (contact.ok() == in_contact_ || session_.json()) return;
    in_contact_ = contact.ok();
    view_.Close();
    PrintNotice(in_contact_ ? session_.Localized(Text::kContactBack)
                            : session_.Localized(Text::kContactLost, Message(contact)));
  }

  void TakeMetrics() {
    const std::vector<v1::MetricPoint> points = metrics_.Take();
    if (points.empty()) return;
    heard_at_ = Clock::now();
    if (session_.json()) return;
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
    if (!options_.pause_on_interrupt || handled_interrupts_ > 1 || followed_.disk_full) return true;
    view_.Close();
    PrintNotice(session_.Localized(Text::kPausing, CallName(followed_.job)));
    v1::PauseJobRequest request;
    request.set_name(followed_.job.name());
    request.set_request_id(NewRequestId());
    const StatusOr<v1::Job> paused = session_.Call(&v1::JobService::Stub::PauseJob, request);
    if (paused.ok()) {
      followed_.job = *paused;
      return false;
    }
    PrintNotice(Message(paused.status()));
    followed_.disk_full = followed_.disk_full || SaysDiskFull(Message(paused.status()));
    return true;
  }

  Session& session_;
  const FollowOptions options_;
  Interrupts interrupts_;
  TrainingView view_;
  JobWatch watch_;
  MetricsTail metrics_;
  const PrivateLayout private_;
  const bool is_private_;
  Followed followed_;
  Clock::time_point heard_at_ = Clock::now();
  std::optional<Clock::time_point> away_since_;
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
  const std::string name = CallName(job), quoted = ShellQuoted(name);
  std::string line;
  int exit_status = kExitOk;
  if (followed.deleted) {
    line = session.Localized(Text::kDeleted, name);
    exit_status = kExitFailed;
  } else if (followed.stopped) {
    line = session.Localized(Text::kDaemonsGone, quoted);
    exit_status = kExitUnavailable;
  } else if (job.state() == v1::SUCCEEDED) {
    line = session.Localized(Text::kSucceeded, name, job.progress().step(), FormatLoss(job.progress().loss()),
                             FormatDuration(RunSeconds(job)));
  } else if (job.state() == v1::FAILED) {
    line = session.Localized(Text::kFailed, name, v1::FailureClass_Name(job.failure().failure_class()),
                             Printable(session.InLanguage(job.failure().message())));
    exit_status = kExitFailed;
  } else if (job.state() == v1::CANCELLED) {
    line = session.Localized(Text::kCancelled, name);
    exit_status = kExitFailed;
  } else if (job.state() == v1::PAUSED) {
    line = session.Localized(Text::kPaused, quoted, job.progress().checkpoint_step());
  } else {
    line = session.Localized(Text::kWatchLeft, quoted);
  }
  PrintNotice(Wrap(line, session.terminal.columns, 2));
  return exit_status;
}

}  // namespace ft::client
