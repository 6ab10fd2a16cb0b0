// What `watch` shows of a job that trains: a bar, the figures of the newest step and the curve of the loss. On a
// terminal the block is redrawn in place; elsewhere a plain line is printed when there is something to say.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "client/session/session.h"
#include "finetune/v1/jobs.pb.h"
#include "finetune/v1/metrics.pb.h"

namespace ft::client {

class TrainingView {
 public:
  explicit TrainingView(const Session& session) : session_(session) {}

  // Takes the next points of the series: losses, evaluations, samples and notes. Texts are printed at once.
  void Add(const std::vector<v1::MetricPoint>& points);
  // Shows the job's state if it changed, and its progress.
  void Show(const v1::Job& job);
  // A line above the block.
  void PrintAbove(const std::string& line);
  // Leaves the block as it is; what follows is printed below it.
  void Close();

  int64_t last_step() const { return last_step_; }
  double last_loss() const { return last_loss_; }
  int64_t epoch() const { return epoch_; }  // The attempt that the newest point is of.

 private:
  void Erase();
  void AddRecord(const finetune::worker::v1::RankRecord& record);
  void ShowDownload(const v1::JobProgress& progress);
  std::string BarLine(const v1::Job& job) const;
  std::string PlainLine(const v1::Job& job) const;

  const Session& session_;
  std::vector<double> losses_;  // By step; a step that ran twice keeps its newest loss.
  int64_t first_step_ = 0;
  int64_t last_step_ = 0;
  double last_loss_ = 0;
  int64_t epoch_ = 0;
  v1::JobState shown_state_ = v1::JOB_STATE_UNSPECIFIED;
  std::string shown_message_;
  int64_t shown_step_ = 0;
  std::chrono::steady_clock::time_point shown_at_{};
  int block_lines_ = 0;
};

}  // namespace ft::client
