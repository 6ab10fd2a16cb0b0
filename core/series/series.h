// The series of a job: the points in the records of its rank 0, for each step that of the newest attempt that
// ran it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "finetune/v1/metrics.pb.h"
#include "finetune/worker/v1/records.pb.h"

namespace ft::series {

// The step that a point belongs to; 0 for one that belongs to none.
int64_t StepOf(const finetune::worker::v1::RankRecord& record);

// The points of `epoch` in whole frames of a rank's records from byte `*offset` on, at most so many frames;
// moves it. DATA_LOSS, naming the file, for frames that are damaged or no records.
StatusOr<std::vector<finetune::v1::MetricPoint>> NextPoints(const std::filesystem::path& path, int64_t epoch,
                                                            uint64_t* offset, size_t max_frames = 256);

// Points in the order of their coming, a newer one in the place of the older one of its step.
class Series {
 public:
  void Add(finetune::v1::MetricPoint point);
  const std::vector<finetune::v1::MetricPoint>& points() const { return points_; }
  std::vector<finetune::v1::MetricPoint> Take() { return std::move(points_); }

 private:
  std::vector<finetune::v1::MetricPoint> points_;
  std::map<std::string, size_t> places_;
};

}  // namespace ft::series
