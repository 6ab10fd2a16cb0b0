#include "client/follow/training_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "client/render/progress.h"
#include "client/render/table.h"
#include "client/render/units.h"
#include "client/render/width.h"
#include "client/session/output.h"

namespace ft::client {
namespace {

constexpr std::chrono::seconds kPlainPause{10};
constexpr int64_t kMaxCurve = 1'000'000;  // Steps whose loss is kept for the curve.

double FractionOf(const v1::JobProgress& progress) {
  if (progress.total_steps() <= 0) return 0;
  return static_cast<double>(progress.step()) / static_cast<double>(progress.total_steps());
}

bool ShowsProgress(const v1::Job& job) {
  return job.progress().total_steps() > 0 &&
         (job.state() == v1::RUNNING || job.state() == v1::RECOVERING || job.state() == v1::PAUSING);
}

}  // namespace

void TrainingView::Add(const std::vector<v1::MetricPoint>& points) {
  for (const v1::MetricPoint& point : points) {
    epoch_ = point.epoch();
    AddRecord(point.record());
  }
}

void TrainingView::AddRecord(const finetune::worker::v1::RankRecord& record) {
  if (record.has_step()) {
    const int64_t step = record.step().step();
    if (losses_.empty()) first_step_ = step;
    const int64_t index = step - first_step_;
    if (index < 0 || index >= kMaxCurve) return;
    losses_.resize(std::max(losses_.size(), static_cast<size_t>(index) + 1),
                   std::numeric_limits<double>::quiet_NaN());
    losses_[static_cast<size_t>(index)] = record.step().loss();
    last_step_ = step;  // A new attempt may start before the last one ended.
    last_loss_ = record.step().loss();
  } else if (record.has_eval()) {
    const auto& eval = record.eval();
    PrintAbove(fmt::format("  [{}] {}: {}", eval.step(), Printable(eval.name()),
                           session_.Localized(Text::kLossAndPerplexity, FormatLoss(eval.loss()),
                                              FormatPerplexity(eval.loss()))));
  } else if (record.has_score()) {
    const auto& score = record.score();
    std::string line = fmt::format("  [{}] {}: {}", score.step(), Printable(score.name()),
                                   session_.Localized(Text::kScore, fmt::format("{:.1f}", score.average()),
                                                      FormatCount(score.questions())));
    for (const auto& [name, percent] :
         std::map<std::string, double>(score.categories().begin(), score.categories().end()))
      line += fmt::format("; {} {:.1f}", Printable(name), percent);
    PrintAbove(Wrap(line, session_.terminal.columns, 4));
  } else if (record.has_sample()) {
    const int width = session_.terminal.columns;
    PrintAbove(Wrap(fmt::format("  [{}] > {}", record.sample().step(), Printable(record.sample().prompt())),
                    width, 4));
    PrintAbove(Wrap(fmt::format("  [{}] < {}", record.sample().step(), Printable(record.sample().text())),
                    width, 4));
  } else if (record.has_note()) {
    PrintAbove(fmt::format("  {} {}: {}", record.note().severity(), record.note().reason(),
                           Printable(session_.InLanguage(record.note().message()))));
  }
}

void TrainingView::PrintAbove(const std::string& line) {
  Erase();
  PrintLine(line);
}

void TrainingView::Erase() {
  if (block_lines_ == 0) return;
  std::string codes;
  for (int i = 0; i < block_lines_; ++i) codes += "\x1b[1A\x1b[2K";
  Print(codes);
  block_lines_ = 0;
}

void TrainingView::Close() { block_lines_ = 0; }

std::string TrainingView::BarLine(const v1::Job& job) const {
  const v1::JobProgress& progress = job.progress();
  const double fraction = FractionOf(progress);
  std::string figures =
      fmt::format(" {:3.0f}%  {}/{}  {} {}", 100 * fraction, progress.step(), progress.total_steps(),
                  session_.Localized(Text::kLoss), progress.step() > 0 ? FormatLoss(progress.loss()) : "-");
  if (progress.tokens_per_second() > 0) {
    figures += fmt::format("  {} {}", FormatCount(static_cast<int64_t>(progress.tokens_per_second())),
                           session_.Localized(Text::kTokensPerSecond));
  }
  if (progress.has_eta() && progress.step() > 0) {
    figures +=
        fmt::format("  {} {}", session_.Localized(Text::kEta), FormatDuration(SecondsOf(progress.eta())));
  }
  const int room = session_.terminal.columns - 1 - DisplayWidth(figures);
  return ProgressBar(fraction, std::clamp(room, 4, 24), session_.terminal) + figures;
}

std::string TrainingView::PlainLine(const v1::Job& job) const {
  const v1::JobProgress& progress = job.progress();
  std::string line = fmt::format("  {}/{}  {} {}", progress.step(), progress.total_steps(),
                                 session_.Localized(Text::kLoss), FormatLoss(progress.loss()));
  if (progress.has_eta()) {
    line += fmt::format("  {} {}", session_.Localized(Text::kEta), FormatDuration(SecondsOf(progress.eta())));
  }
  return line;
}

void TrainingView::ShowDownload(const v1::JobProgress& progress) {
  const std::string figures =
      StrCat(FormatBytes(progress.phase_bytes()), " / ", FormatBytes(progress.phase_total_bytes()));
  if (session_.terminal.interactive) {
    const double fraction =
        static_cast<double>(progress.phase_bytes()) / static_cast<double>(progress.phase_total_bytes());
    Erase();
    PrintLine(StrCat(ProgressBar(fraction, 24, session_.terminal), " ", figures));
    ++block_lines_;
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (now - shown_at_ < kPlainPause || progress.phase_bytes() == 0) return;
  PrintLine(StrCat("  ", figures));
  shown_at_ = now;
}

void TrainingView::Show(const v1::Job& job) {
  if (job.state() != shown_state_ || job.state_message() != shown_message_) {
    std::string line = session_.Localized(Text::kState, CallName(job), StateName(session_, job.state()));
    // Why a job failed is the last line that its follower prints; once is enough.
    if (!job.state_message().empty() && job.state() != v1::FAILED) {
      line = session_.Localized(Text::kBecause, line, Printable(session_.InLanguage(job.state_message())));
    }
    PrintAbove(Wrap(line, session_.terminal.columns, 2));
    shown_state_ = job.state();
    shown_message_ = job.state_message();
  }
  if (job.progress().phase_total_bytes() > 0 && job.state() == v1::PREPARING)
    return ShowDownload(job.progress());
  if (!ShowsProgress(job)) return Erase();
  if (session_.terminal.interactive) {
    Erase();
    PrintLine(BarLine(job));
    ++block_lines_;
    const std::string curve =
        Sparkline(losses_, std::min(session_.terminal.columns - 10, 60), session_.terminal);
    if (!curve.empty()) {
      PrintLine(fmt::format("{} {}", session_.Localized(Text::kLoss), curve));
      ++block_lines_;
    }
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  const bool is_last = job.progress().step() == job.progress().total_steps();
  const bool is_new = job.progress().step() > shown_step_;
  if (!is_new || (now - shown_at_ < kPlainPause && !is_last)) return;
  PrintLine(PlainLine(job));
  shown_step_ = job.progress().step();
  shown_at_ = now;
}

}  // namespace ft::client
